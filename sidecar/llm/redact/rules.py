"""What counts as a secret or as personal data, and where it stands in a text.

Every pattern has an upper bound on each of its repeats, so that its time is linear. A rule is only
tried on texts that contain one of its `hints`, which a plain search finds much faster. Still faster
is a search for one character, so the rarest one of each hint is looked for first.

Sources: the vendors' own documents on the form of their keys; GitHub "Secret scanning patterns";
ISO/IEC 7812-1 (Luhn); RFC 5321, section 4.5.3.1 (lengths of addresses); ITU-T E.164.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Literal, NamedTuple

RuleName = Literal["keys", "cards", "emails", "phones"]


class Span(NamedTuple):
    """Where something stands in a text, and its kind."""

    start: int
    end: int
    kind: str


class Rule(NamedTuple):
    """Finds one kind of values."""

    kind: str
    """In capitals: it is part of the placeholder."""
    hints: tuple[str, ...]
    """Texts of which one is in every value; empty: there are none."""
    find: Callable[[str], Iterator[Span]]
    digits: int = 0
    """How many digits are in every value."""


def _by(pattern: str, kind: str, *hints: str, real: Callable[[str], bool] | None = None) -> Rule:
    compiled = re.compile(pattern)

    def find(text: str) -> Iterator[Span]:
        for match in compiled.finditer(text):
            if real is None or real(match[0]):
                yield Span(match.start(), match.end(), kind)

    return Rule(kind, hints, find)


def _has_digit(text: str) -> bool:
    return any(letter.isdigit() for letter in text)


def is_card(text: str) -> bool:
    """Whether the digits of *text* are 13 to 19, begin as a card's and have a valid check digit."""
    digits = [int(letter) for letter in text if letter.isdigit()]
    if not 13 <= len(digits) <= 19 or digits[0] not in (2, 3, 4, 5, 6) or len(set(digits)) == 1:
        return False
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


_DIGITS: Final = re.compile(r"[0-9](?:[ -]?[0-9]){12,47}")
_LENGTHS: Final = (16, 15, 19, 14, 13, 17, 18)
"""Digits of a card, the usual numbers first."""


def _cards(text: str) -> Iterator[Span]:
    """Find cards among digits with single spaces or hyphens, which may begin or end with others."""
    for run in _DIGITS.finditer(text):
        places = [run.start() + at for at, letter in enumerate(run[0]) if letter.isdigit()]
        index = 0
        while index <= len(places) - 13:
            end = _card_at(text, places, index)
            if end:
                yield Span(places[index], places[end - 1] + 1, "CARD")
                index = end
            else:
                index += 1


def _card_at(text: str, places: list[int], index: int) -> int:
    """Return the index behind the card that begins with the digit at *index*; 0: none does."""
    begin = places[index]
    if text[max(0, begin - 1) : begin].isdigit() or not text[begin : begin + 4].isdigit():
        return 0  # the first group has four digits
    if text[max(0, begin - 1) : begin] == "." and text[max(0, begin - 2) : begin - 1].isdigit():
        return 0  # the digits of a fraction
    for length in _LENGTHS:
        end = index + length
        if end <= len(places):
            last = places[end - 1] + 1
            if not text[last : last + 1].isdigit() and is_card(text[begin:last]):
                return end
    return 0


def _is_phone(text: str) -> bool:
    return 8 <= sum(map(str.isdigit, text)) <= 15


_LOCAL: Final = re.compile(r"[A-Za-z0-9._%+'-]{1,64}\Z")
_DOMAIN: Final = re.compile(
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}"
)


def _emails(text: str) -> Iterator[Span]:
    """Find addresses from their `@`, so that other text costs only the search for it."""
    for domain in _DOMAIN.finditer(text):
        at = domain.start()
        local = _LOCAL.search(text, max(0, at - 64), at)
        if local is not None:
            begin = local.start() + len(local[0]) - len(local[0].lstrip(".'"))
            if begin < at:
                yield Span(begin, domain.end(), "EMAIL")


_KEYS: Final = (
    _by(r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{20,256}", "KEY", "sk-", real=_has_digit),
    _by(r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])", "KEY", "AKIA", "ASIA"),
    _by(r"AIza[A-Za-z0-9_-]{35}", "KEY", "AIza"),
    _by(r"gh[oprsu]_[A-Za-z0-9]{36,255}", "KEY", "gho_", "ghp_", "ghr_", "ghs_", "ghu_"),
    _by(r"github_pat_[A-Za-z0-9_]{22,255}", "KEY", "github_pat_"),
    _by(r"glpat-[A-Za-z0-9_-]{20,64}", "KEY", "glpat-"),
    _by(r"xox[abeoprs]-[A-Za-z0-9-]{10,250}", "KEY", "xox"),
    _by(r"(?<![A-Za-z0-9])[rs]k_(?:live|test)_[A-Za-z0-9]{16,247}", "KEY", "k_live_", "k_test_"),
    _by(r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{30,64}", "KEY", "hf_"),
    _by(r"(?<![A-Za-z0-9])(?:gsk_|xai-|npm_)[A-Za-z0-9]{36,128}", "KEY", "gsk_", "xai-", "npm_"),
    _by(r"pypi-[A-Za-z0-9_-]{50,512}", "KEY", "pypi-"),
    _by(r"SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64}", "KEY", "SG."),
    _by(
        r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,2048}\.eyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{16,1024}",
        "TOKEN",
        "eyJ",
    ),
    _by(
        r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----(?:[^-]|-(?!----)){16,8192}"
        r"-----END [A-Z ]{0,32}PRIVATE KEY-----",
        "PRIVATE_KEY",
        "PRIVATE KEY-----",
    ),
    _by(r"(?<=://)[^\s/:@\"]{1,64}:[^\s/@\"]{1,128}(?=@)", "PASSWORD", "://"),
)
RULES: Final[Mapping[RuleName, tuple[Rule, ...]]] = {
    "keys": _KEYS,
    "cards": (Rule("CARD", (), _cards, 13),),
    "emails": (Rule("EMAIL", ("@",), _emails),),
    "phones": (
        _by(
            r"(?<![0-9A-Za-z+])\+[1-9][0-9 ().-]{6,20}[0-9](?![0-9])", "PHONE", "+", real=_is_phone
        ),
    ),
}


def own(kind: str, pattern: str) -> Rule:
    """Make a rule of a configuration's *pattern*, which was checked."""
    return _by(pattern, kind)


_RARE: Final = "@_+JKGzx:-I"
"""Characters of which each hint has one, the rarest in prose first."""
_NO_DIGITS: Final = bytes(code for code in range(256) if not 48 <= code < 58)


class Finder:
    """Finds what any of its rules finds."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.kinds: set[str] = set()
        self._hinted: dict[str, list[tuple[str, Rule]]] = {}
        """By the rarest character of a hint: the hint, and its rule."""
        self._others: list[Rule] = []
        for rule in rules:
            self.kinds.add(rule.kind)
            if not rule.hints:
                self._others.append(rule)
            for hint in rule.hints:
                letter = next(letter for letter in _RARE if letter in hint)
                self._hinted.setdefault(letter, []).append((hint, rule))

    def __call__(self, text: str) -> list[Span]:
        """Return what is found in *text*, in order. Of some that overlap, it is all in one."""
        spans: list[Span] = []
        for rule in self._fitting(text):
            spans += rule.find(text)
        if len(spans) < 2:
            return spans
        spans.sort(key=lambda span: (span.start, -span.end))
        kept = spans[:1]
        for span in spans[1:]:
            last = kept[-1]
            if span.start >= last.end:
                kept.append(span)
            elif span.end > last.end:
                kept[-1] = last._replace(end=span.end)
        return kept

    def _fitting(self, text: str) -> list[Rule]:
        """Return the rules that may find something in *text*, each once."""
        rules: list[Rule] = []
        for letter, hinted in self._hinted.items():
            if letter in text:
                for hint, rule in hinted:
                    if rule not in rules and hint in text:
                        rules.append(rule)
        digits = -1
        for rule in self._others:
            if rule.digits and digits < 0:
                digits = len(text.encode("utf-8", "ignore").translate(None, _NO_DIGITS))
            if not rule.digits or digits >= rule.digits:
                rules.append(rule)
        return rules
