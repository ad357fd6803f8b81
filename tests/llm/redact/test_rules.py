"""What counts as a secret or as personal data, and what only looks like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.redact.rules import RULES, Finder, Rule, is_card, own

ALL = [rule for rules in RULES.values() for rule in rules]


def kinds(text: str, rules: list[Rule] = ALL) -> list[tuple[str, str]]:
    return [(span.kind, text[span.start : span.end]) for span in Finder(rules)(text)]


LETTERS = "aB3" * 40


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("KEY", "sk-" + LETTERS[:24]),
        ("KEY", "sk-proj-" + LETTERS[:40]),
        ("KEY", "sk-ant-api03-" + LETTERS[:40]),
        ("KEY", "AKIA" + "ABCD" * 4),
        ("KEY", "AIza" + LETTERS[:35]),
        ("KEY", "ghp_" + LETTERS[:36]),
        ("KEY", "github_pat_" + LETTERS[:30]),
        ("KEY", "glpat-" + LETTERS[:20]),
        ("KEY", "xoxb-" + "123-abc" * 4),
        ("KEY", "sk_live_" + LETTERS[:24]),
        ("KEY", "hf_" + LETTERS[:34]),
        ("KEY", "gsk_" + LETTERS[:52]),
        ("KEY", "pypi-" + LETTERS[:60]),
        ("KEY", "SG." + LETTERS[:22] + "." + LETTERS[:43]),
        ("TOKEN", "eyJ" + LETTERS[:20] + ".eyJ" + LETTERS[:20] + "." + LETTERS[:43]),
        (
            "PRIVATE_KEY",
            "-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: x\n" + "ab+/" * 9 + "\n"
            "-----END RSA PRIVATE KEY-----",
        ),
        ("PASSWORD", "user:pa$$word"),
        ("CARD", "4111111111111111"),
        ("CARD", "4111 1111 1111 1111"),
        ("CARD", "3782-822463-10005"),
        ("EMAIL", "first.last+tag@mail.example.co.uk"),
        ("EMAIL", "o'hara@example.com"),
        ("PHONE", "+49 30 1234-5678"),
        ("PHONE", "+1 (415) 555-2671"),
    ],
)
def test_a_value_is_found_among_other_text(kind: str, value: str) -> None:
    before, after = ("postgres://", "@db/x") if kind == "PASSWORD" else ("see ", ".")
    assert kinds(before + value + after) == [(kind, value)]
    if kind != "PASSWORD":
        assert kinds(f"('{value}')") == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "risk-assessments-of-all-kinds-and-more",
        "a task-1234567890123456789012",
        "sk-this-is-only-a-long-hyphenated-word",
        "4111 1111 1111 1112",
        "0000000000000000",
        "12345678901234567890123",
        "version 1.2.3.4.5.6.7.8.9.10.11.12",
        "at @home, me@host, a@b.c, @example.com",
        "call +1 or 030 1234567 at 10 + 20",
        "0.4111111111111111",
        "2024-11-27 20:33:03 +0100",
        "https://example.com/a:b@c",
        "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----",
    ],
)
def test_what_only_looks_like_one_is_not(text: str) -> None:
    assert kinds(text) == []


def test_a_card_is_found_between_other_digits() -> None:
    card = "4111 1111 1111 1111"
    assert kinds(f"no 123 {card} 12/27 {card}-99") == [("CARD", card)] * 2


def test_what_overlaps_is_one_value() -> None:
    rules = [own("A", "bcd"), own("B", "abc"), own("C", "abcde"), own("D", "ef"), own("E", "x")]
    assert kinds("abcdefx", rules) == [("C", "abcdef"), ("E", "x")]


@given(st.integers(10**11, 10**17 - 1))
def test_every_digit_of_a_card_is_checked(number: int) -> None:
    text = f"4{number}"
    valid = [d for d in "0123456789" if is_card(text + d)]
    assert len(valid) == 1
    card = text + valid[0]
    wrong = str((int(card[5]) + 1) % 10)
    assert not is_card(card[:5] + wrong + card[6:])


@given(st.text(), st.sampled_from(ALL))
def test_any_text_can_be_searched_and_hints_are_in_what_is_found(text: str, rule: Rule) -> None:
    for span in rule.find(text):
        assert not rule.hints or any(hint in text for hint in rule.hints)
        assert 0 <= span.start < span.end <= len(text)


@pytest.mark.parametrize(
    "unit",
    [
        "eyJ",
        "-----BEGIN PRIVATE KEY-----",
        "sk-",
        "1 ",
        "a@",
        "@a.",
        "://a:",
        "+1",
        "a.a@a-",
        "xoxb-",
    ],
)
def test_hostile_texts_take_a_linear_number_of_matches(unit: str) -> None:
    """A search of 200 kB of the worst texts ends: with squares of that it would not."""
    text = unit * (200_000 // len(unit))
    Finder(ALL)(text)
