"""Checks each part of a configuration by itself.

Works on the tree, so that texts are checked even when another part of the file does not fit.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Final

from sidecar.config.check import addresses, grammar
from sidecar.config.check.fields import POLICIES, RULES
from sidecar.config.check.listeners import listener_problems
from sidecar.config.check.rules import rule_problems
from sidecar.config.model import Admin, Endpoint, Listener, Section
from sidecar.config.model.budgets import SpendLimit
from sidecar.config.problems import Path, Problem, dotted

_KEYS: Final = "(keys)"
_ONE_OF: Final[tuple[tuple[str, type[Section], str, str], ...]] = (
    ("listeners.*", Listener, "address", "path"),
    ("upstreams.*.endpoints.*", Endpoint, "url", "dns"),
    ("budgets.limits.*", SpendLimit, "money", "tokens"),
)
_NAMES: Final[tuple[tuple[str, str, str, tuple[str, ...]], ...]] = (
    ("routes.*.upstream", "upstreams", "no such upstream", ()),
    ("routes.*.split.*.upstream", "upstreams", "no such upstream", ()),
    ("routes.*.fallback.*.upstream", "upstreams", "no such upstream", ()),
    ("routes.*.mirror.upstream", "upstreams", "no such upstream", ()),
    *(
        (f"{policy}.redact.guard.upstream", "upstreams", "no such upstream", ())
        for policy in POLICIES
    ),
    ("routes.*.policy", "policies", "no such policy", ("default",)),
    ("upstreams.*.policy", "policies", "no such policy", ("default",)),
)
_CONDITIONS: Final = ("connect_failure", "reset", "timeout", "bad_reply", "429", "5xx")
_FAILED_ON: Final = (*(f"{policy}.retry.on.*" for policy in POLICIES), "routes.*.fallback_on.*")


def broken_rules(root: object) -> Iterator[Problem]:
    """Find violations within each part of *root*, and names that are not defined."""
    for steps, rule in RULES:
        for path, text in _texts(root, steps):
            if wrong := rule(text):
                yield Problem(path, wrong)
    for steps, section, first, second in _ONE_OF:
        yield from _one_of(root, steps, section, (first, second))
    yield from _names(root)
    yield from _conditions(root)
    yield from _probes(root)
    yield from listener_problems(select(root, "listeners.*"))
    for policy in POLICIES:
        for path, rules in select(root, f"{policy}.rules"):
            yield from rule_problems(path, rules)
    yield from _twice(_texts(root, "routes.*.name"))
    yield from _twice(_places(root))
    yield from _keys_of_two(root)


def _names(root: object) -> Iterator[Problem]:
    for steps, group, wrong, builtin in _NAMES:
        known = tuple(dict.fromkeys((*builtin, *(str(n) for n, _ in children(root, group)))))
        there = frozenset(known)
        for path, name in _texts(root, steps):
            if name not in there:
                yield Problem(path, wrong, name, known)


def _conditions(root: object) -> Iterator[Problem]:
    """Check the words for failures: conditions, and statuses from 400 on."""
    for steps in _FAILED_ON:
        for path, word in _texts(root, steps):
            if word not in _CONDITIONS and (word[:1] not in ("4", "5") or grammar.status(word)):
                yield Problem(path, "no condition and no status of an error", word, _CONDITIONS)


def _keys_of_two(root: object) -> Iterator[Problem]:
    """Refuse a key that two callers of one listener have: it would not tell them apart."""
    for path, callers in select(root, "listeners.*.access.callers"):
        yield from _twice(((*path, *at), text) for at, text in _texts(callers, "*.*"))


def _one_of(
    root: object, steps: str, section: type[Section], keys: tuple[str, str]
) -> Iterator[Problem]:
    for path, value in select(root, steps):
        # An unknown key is probably one of the two, misspelt: that error is enough.
        if isinstance(value, dict) and value.keys() <= set(section.__struct_fields__):
            given = [key for key in keys if value.get(key) is not None]
            if len(given) != 1:
                yield Problem(path, f"expected exactly one of {', '.join(keys)}")


def _probes(root: object) -> Iterator[Problem]:
    """Refuse a path for a health check that only connects."""
    for path, value in select(root, "upstreams.*.health"):
        if isinstance(value, dict) and value.get("tcp") is True and value.get("path") is not None:
            yield Problem((*path, "path"), "not read with `tcp: true`")


def _places(root: object) -> Iterator[tuple[Path, Hashable]]:
    """List the addresses that are listened at; port 0 is another port each time."""
    if not list(select(root, "admin.address")):
        yield ("admin", "address"), addresses.parse_address(Admin().address or "")
    for steps in ("admin.address", "admin.health", "listeners.*.address"):
        for path, text in _texts(root, steps):
            address = addresses.parse_address(text)
            if address is not None and address.port:
                yield path, address
    yield from _texts(root, "listeners.*.path")


def _twice(places: Iterator[tuple[Path, Hashable]]) -> Iterator[Problem]:
    first: dict[Hashable, Path] = {}
    for path, place in places:
        if place in first:
            yield Problem(path, f"the same as {dotted(first[place])}")
        first.setdefault(place, path)


def _texts(root: object, steps: str) -> Iterator[tuple[Path, str]]:
    """Yield all strings that *steps* lead to; other types are another error."""
    return ((path, value) for path, value in select(root, steps) if isinstance(value, str))


def select(root: object, steps: str) -> Iterator[tuple[Path, object]]:
    """Yield all values in *root* that the dotted *steps* lead to; `*` is every item or key."""
    found: list[tuple[Path, object]] = [((), root)]
    for step in steps.split("."):
        found = [
            ((*path, key), item) for path, value in found for key, item in _children(value, step)
        ]
    yield from found


def children(root: object, key: str) -> Iterator[tuple[str | int, object]]:
    """Yield the items or entries under *key*."""
    return ((path[1], value) for path, value in select(root, f"{key}.*"))


def _children(value: object, step: str) -> Iterable[tuple[str | int, object]]:
    if isinstance(value, list):
        return enumerate(value) if step == "*" else ()
    if not isinstance(value, dict):
        return ()
    if step == "*":
        return value.items()
    if step == _KEYS:
        return [(key, key) for key in value]
    return [(step, value[step])] if step in value else ()
