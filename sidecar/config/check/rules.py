"""Checks `rules`, wherever a policy stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sidecar.config.check.regex import slow
from sidecar.config.problems import Path, Problem
from sidecar.policy.template import Template

_MATCHES: Final = ("exact", "glob", "regex")


def rule_problems(path: Path, rules: object) -> Iterator[Problem]:
    """Find what is wrong with the list *rules* at *path*; other types are another error."""
    seen: set[object] = set()
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, dict):
            where = (*path, index)
            name = rule.get("name")
            if isinstance(name, str) and name in seen:
                yield Problem((*where, "name"), "the name of an earlier rule")
            seen.add(name if isinstance(name, str) else None)
            yield from _rule(where, rule)


def _rule(path: Path, rule: Mapping[str, Any]) -> Iterator[Problem]:
    if not any(rule.get(key) for key in _MATCHES):
        yield Problem(path, "matches nothing: give `exact`, `glob` or `regex`")
    if (rule.get("answer") is None) == (rule.get("refuse") is None):
        yield Problem(path, "expected exactly one of answer, refuse")
    if isinstance(rule.get("answer"), str):
        yield from _answer((*path, "answer"), rule)


def _answer(path: Path, rule: Mapping[str, Any]) -> Iterator[Problem]:
    try:
        template = Template(rule["answer"])
    except ValueError as error:
        yield Problem(path, str(error))
        return
    for name in sorted(template.names - _captured(rule)):
        yield Problem(path, f"nothing captures {{{name}}}: every pattern of the rule must")


def _captured(rule: Mapping[str, Any]) -> frozenset[str]:
    """Return what all patterns of *rule* capture, as far as they can be read."""
    if rule.get("exact") or rule.get("glob"):
        return frozenset()
    regexes = rule.get("regex")
    found = [_groups(text) for text in regexes] if isinstance(regexes, list) else []
    return frozenset.intersection(*found) if found else frozenset()


def _groups(text: object) -> frozenset[str]:
    if not isinstance(text, str) or slow(text):
        return frozenset()
    pattern = re.compile(text)
    return frozenset((*map(str, range(pattern.groups + 1)), *pattern.groupindex))
