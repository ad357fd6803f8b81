"""Why routes do not take a call: each condition of their match by itself, asked of a real rule."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from sidecar.config.model import Match
from sidecar.errors import NotRouted
from sidecar.http.target import host_name
from sidecar.proxy.routing.router import LONGEST_SHOWN, Rule, choose

if TYPE_CHECKING:
    from sidecar.config.model import Route as RouteConfig
    from sidecar.proxy.call import Call


_AT_ONCE: Final = 20
"""Routes that are looked at in one go: each takes 0.3 ms."""


class Miss(msgspec.Struct, frozen=True):
    """A condition that a call does not meet."""

    condition: str
    """`host`, `path`, `method`, `model`, or `header` and the header's name."""
    wanted: str | None
    """As the configuration has it; None for a header, whose value may be a secret."""
    found: str | None
    """What the call has; None: nothing."""


def misses(config: RouteConfig, rule: Rule, call: Call) -> list[Miss]:
    """List the conditions of the route that *call* does not meet; empty: it matches."""
    return [miss for part, miss in _conditions(config.match, call) if not _holds(part, rule, call)]


def _conditions(match: Match, call: Call) -> Iterator[tuple[Match, Miss]]:
    """Split *match* into its conditions, each with what is to be said if it does not hold."""
    head = call.head
    if match.host is not None:
        found = host_name(head.host).decode("latin-1")
        yield Match(host=match.host), Miss("host", match.host, found)
    if match.path is not None:
        yield Match(path=match.path), Miss("path", match.path, head.path.decode("latin-1"))
    if match.method is not None:
        found = head.method.decode("latin-1")
        yield Match(method=match.method), Miss("method", match.method, found)
    for name, glob in match.headers.items():
        value = head.fields.get(name.lower().encode())
        has = None if value is None else value.decode("latin-1")[:LONGEST_SHOWN]
        yield Match(headers={name: glob}), Miss(f"header {name.lower()}", None, has)
    if match.model is not None:
        named = None if call.model is None else call.model[:LONGEST_SHOWN]
        yield Match(model=match.model), Miss("model", match.model, named)


def _holds(part: Match, rule: Rule, call: Call) -> bool:
    alone = Rule(part, None, rule.route)
    head = call.head
    host, path = host_name(head.host).decode("latin-1"), head.path.decode("latin-1")
    candidate = alone.candidate(host, path, head.method)
    if candidate is None:
        return False
    try:
        choose((candidate,), head.fields, call.model)
    except NotRouted:
        return False
    return True


class PassedOver(msgspec.Struct, frozen=True):
    """A route before the one that takes the call, or any route if none does."""

    route: str
    index: int
    because: list[Miss]
    """Empty: it could take the call, but was not asked."""


def passed_over(
    configs: Sequence[RouteConfig], rules: Sequence[Rule], call: Call, until: int | None
) -> tuple[list[PassedOver], list[str]]:
    """List the routes before the index *until* (None: all), and later ones that match too."""
    before: list[PassedOver] = []
    later: list[str] = []
    for index, (config, rule) in enumerate(zip(configs, rules, strict=True)):
        if index == until:
            continue
        if index % _AT_ONCE == 0:
            time.sleep(0)  # lets the data plane's thread run
        found = misses(config, rule, call)
        if until is None or index < until:
            before.append(PassedOver(rule.route.name, index, found))
        elif not found:
            later.append(rule.route.name)
    return before, later
