"""Which rule a message meets, and what it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.model.rules import Refusal, Rule
from sidecar.policy.rules import LONG, SHORT, Rules, Verdict

RULES = Rules(
    [
        rule.settings()
        for rule in (
            Rule(name="ping", exact=("Ping", "Are you there?"), answer="pong {{}}"),
            Rule(name="hi", glob=("hi*", "h?y", "[x]"), answer="Hello"),
            Rule(name="order", regex=(r"order\s+(?P<n>\d+)(!)?",), answer="{n}, {1}, <{2}>, {0}"),
            Rule(name="far", regex=("needle",), answer="found"),
            Rule(name="slow", regex=("x.*z",), answer="found slowly"),
            Rule(name="bomb", regex=("(?i)bomb",), refuse=Refusal(message="No.")),
            Rule(name="late", regex=("bomb",), answer="never"),
        )
    ]
)


def judge(text: str, only_text: bool = True) -> Verdict | None:
    return RULES.judge(text, only_text)


@pytest.mark.parametrize(
    ("text", "rule", "answer"),
    [
        ("ping", "ping", "pong {}"),
        ("  PING\n", "ping", "pong {}"),
        ("are you there?", "ping", "pong {}"),
        ("Hi", "hi", "Hello"),
        ("hi, what is\nthe time", "hi", "Hello"),
        ("hey", "hi", "Hello"),
        ("[X]", "hi", "Hello"),
        ("where is order  12?", "order", "12, 12, <>, order  12"),
        ("order 12!", "order", "12, 12, <!>, order 12!"),
    ],
)
def test_a_rule_answers(text: str, rule: str, answer: str) -> None:
    assert judge(text) == Verdict(rule, answer, None)


@pytest.mark.parametrize("text", ["", "pin", "pingpong", "x", "say hi", "Order 12", "{0}"])
def test_no_rule_matches(text: str) -> None:
    assert judge(text) is None


def test_a_rule_refuses() -> None:
    verdict = judge("a BOMB")
    assert verdict is not None
    assert (verdict.rule, verdict.answer) == ("bomb", None)
    assert verdict.refusal == (403, "No.")


def test_a_message_with_an_image_is_refused_but_not_answered() -> None:
    assert judge("ping", only_text=False) is None
    verdict = judge("a bomb", only_text=False)
    assert verdict is not None
    assert verdict.rule == "bomb"


def test_how_much_of_a_message_is_searched_depends_on_the_expression() -> None:
    for rule, needle, longest in (("far", "needle", LONG), ("slow", "xz", SHORT)):
        found = judge(" " * (longest - len(needle)) + needle)
        assert found is not None
        assert found.rule == rule
        assert judge(" " * (longest - len(needle) + 1) + needle) is None


def test_what_was_captured_is_not_looked_at_again() -> None:
    rule = Rule(name="echo", regex=("say (.*)",), answer="{1}").settings()
    found = Rules([rule]).judge("say {0} {{x}}", True)
    assert found is not None
    assert found.answer == "{0} {{x}}"


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    judge(text)
