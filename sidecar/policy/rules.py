"""Rules that answer a message, or refuse it, without a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate
from typing import Final, NamedTuple

from sidecar.policy.template import Template

SHORT: Final = 1_000
"""Characters of a message in which a regular expression is searched for."""
LONG: Final = 65_536
"""The same for one that takes linear time at most."""


class Refusal(NamedTuple):
    """What a rule refuses with."""

    status: int
    message: str


class Search(NamedTuple):
    """A regular expression, and how much of a message it looks at."""

    pattern: re.Pattern[str]
    longest: int
    """Characters from the beginning."""


class RuleSettings(NamedTuple):
    """One rule. It answers, or refuses."""

    name: str
    exact: frozenset[str]
    """Messages, as `normal` returns them."""
    globs: tuple[re.Pattern[str], ...]
    """Compiled by `glob`."""
    searches: tuple[Search, ...]
    answer: Template | None
    refusal: Refusal | None


class Verdict(NamedTuple):
    """What a rule says of a message."""

    rule: str
    answer: str | None
    """None: it is refused."""
    refusal: Refusal | None


def normal(text: str) -> str:
    """Return *text* without white space at its ends and without letter case."""
    return text.strip().casefold()


def glob(text: str) -> re.Pattern[str]:
    """Compile a glob for a `normal` message: `*` and `?` are special, brackets are not."""
    return re.compile(translate(normal(text).replace("[", "[[]")))


class Rules:
    """Rules in order; the first that matches decides."""

    def __init__(self, rules: Sequence[RuleSettings]) -> None:
        self._rules = tuple(rules)

    def __repr__(self) -> str:
        return f"<Rules {', '.join(rule.name for rule in self._rules)}>"

    def judge(self, text: str, only_text: bool) -> Verdict | None:
        """Return what the first rule that matches says; None if none does.

        A message with more in it than text (*only_text* is false), such as an image, can be
        refused, but not answered.
        """
        plain = normal(text) if len(text) <= LONG else None
        for rule in self._rules:
            if rule.answer is not None and not only_text:
                continue
            captured = _match(rule, text, plain)
            if captured is not None:
                answer = None if rule.answer is None else rule.answer.fill(captured)
                return Verdict(rule.name, answer, rule.refusal)
        return None


def _match(rule: RuleSettings, text: str, plain: str | None) -> dict[str, str] | None:
    """Return what *rule* captures of a message; None if it does not match."""
    if plain is not None and (plain in rule.exact or any(glob.match(plain) for glob in rule.globs)):
        return {}
    for pattern, longest in rule.searches:
        found = pattern.search(text, 0, longest)
        if found is not None:
            groups = (found[0], *found.groups(""))
            return {str(number): group for number, group in enumerate(groups)} | found.groupdict("")
    return None
