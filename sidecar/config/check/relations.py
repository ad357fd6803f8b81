"""Checks what concerns several parts of a configuration together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from sidecar.config.check import sections as consistency
from sidecar.config.check.shadowing import covers
from sidecar.config.check.tasks import task_problems
from sidecar.config.check.urls import captures
from sidecar.config.model import Budgets, Route, Store, Task, Upstream
from sidecar.config.model.policy import Policy
from sidecar.config.model.retries import RETRY_ON
from sidecar.config.model.route import Target
from sidecar.config.model.tracing import Tracing
from sidecar.config.overlay import DEFAULT, Layer, Overlay, Tree, targets
from sidecar.config.problems import Path, Problem, dotted

NEEDS_STORE: Final = "needs `store.redis`"


class Parts(Struct):
    """The parts that could be decoded."""

    upstreams: dict[str, Upstream]
    routes: dict[int, Route]
    policies: dict[str, Policy]
    tasks: dict[str, Task]
    trees: Mapping[int, Tree]
    """The routes as they are written."""
    tracing: Tracing | None
    store: Store | None
    budgets: Budgets | None
    prices: bool
    """Whether there are any."""
    overlay: Overlay | None
    """None where `policies.default`, on which all others rest, is not valid."""

    @property
    def shares(self) -> bool:
        """Whether there is a store that sidecars share; also if it is not valid."""
        return self.store is None or self.store.redis is not None


def broken_relations(parts: Parts, lines: Mapping[Path, int]) -> Iterator[Problem]:
    """Find all violations that only show when several values are looked at together."""
    for name, upstream in parts.upstreams.items():
        yield from _upstream(("upstreams", name), upstream, parts)
    for index, route in parts.routes.items():
        yield from _route(("routes", index), route)
        yield from _captured(("routes", index, "match"), route, parts.upstreams)
        yield from _targets(("routes", index), route, parts.upstreams)
    if parts.tracing is not None:
        for where, wrong in consistency.tracing_violations(parts.tracing):
            yield Problem(("tracing", *where), wrong)
    if parts.store is not None:
        for where, wrong in consistency.store_violations(parts.store):
            yield Problem(("store", *where), wrong)
    if parts.budgets is not None:
        yield from _budgets(parts.budgets, parts)
    yield from _dead_routes(parts.routes, lines)
    for name, task in parts.tasks.items():
        yield from task_problems(("tasks", name), task, parts.routes, parts.upstreams)
    if parts.overlay is not None:
        yield from _policies(parts, parts.overlay)


def _budgets(budgets: Budgets, parts: Parts) -> Iterator[Problem]:
    if budgets.limits and budgets.ledger is None:
        yield Problem(("budgets",), "`ledger` is missing: the file with what was spent")
    names = {route.name for route in parts.routes.values()}
    for name, limit in budgets.limits.items():
        path = "budgets", "limits", name
        if limit.money is not None and not parts.prices:
            yield Problem((*path, "money"), "needs `prices`: without them nothing costs money")
        if limit.route is not None and limit.route not in names:
            known = tuple(sorted(each for each in names if each is not None))
            yield Problem((*path, "route"), "no route has this name", limit.route, known)
        if limit.each_caller and limit.header is not None:
            yield Problem(
                (*path, "each_caller"), "not valid with `header`, which tells calls apart"
            )
        if limit.redis and not parts.shares:
            yield Problem((*path, "redis"), NEEDS_STORE)


def _upstream(path: Path, upstream: Upstream, parts: Parts) -> Iterator[Problem]:
    if upstream.pace is not None and upstream.pace.redis and not parts.shares:
        yield Problem((*path, "pace", "redis"), NEEDS_STORE)
    seen: set[tuple[str | None, str | None]] = set()
    for index, endpoint in enumerate(upstream.endpoints):
        place = endpoint.url, endpoint.dns
        if place in seen:
            yield Problem((*path, "endpoints", index), "duplicate endpoint")
        seen.add(place)
    for where, wrong in consistency.upstream_violations(upstream):
        yield Problem((*path, *where), wrong)


def _route(path: Path, route: Route) -> Iterator[Problem]:
    if route.rewrite is not None and route.match.path is None:
        yield Problem((*path, "rewrite"), "needs `match.path`, the prefix that it replaces")
    lowered = [name.lower() for name in route.match.headers]
    if len(set(lowered)) < len(lowered):
        yield Problem((*path, "match", "headers"), "duplicate header")
    if round(sum(split.share for split in route.split), 5) >= 1:
        yield Problem(
            (*path, "split"), "the shares add up to 100% or more, which leaves `upstream` no calls"
        )
    if route.sticky is not None:
        if not route.split:
            yield Problem((*path, "sticky"), "only valid with `split`")
        for where, wrong in consistency.name_violations(route.sticky.by, route.sticky.name):
            yield Problem((*path, "sticky", *where), wrong)
    if route.fallback_on != RETRY_ON and not route.fallback:
        yield Problem((*path, "fallback_on"), "only valid with `fallback`")


def _captured(path: Path, route: Route, upstreams: Mapping[str, Upstream]) -> Iterator[Problem]:
    """Check that a route captures what its upstreams' URLs need."""
    captured = captures(route.match.host, route.match.path)
    for name in sorted({name for name in captured if captured.count(name) > 1}):
        yield Problem(path, f"captures {{{name}}} twice")
    for target in targets(route):
        upstream = upstreams.get(target)
        needed = captures(*(each.url for each in upstream.endpoints)) if upstream else []
        for name in sorted(set(needed) - set(captured)):
            yield Problem(
                path,
                f"host or path must capture {{{name}}}: a URL of upstream {target} needs it",
            )


def _targets(path: Path, route: Route, upstreams: Mapping[str, Upstream]) -> Iterator[Problem]:
    """Check that a route's other upstreams speak the same API, and are not its own upstream."""
    own = upstreams.get(route.upstream)
    if own is not None:
        yield from _labels(path, route, own)
    groups: tuple[tuple[str, tuple[Target, ...]], ...]
    groups = ("split", route.split), ("fallback", route.fallback)
    for key, others in groups:
        # After a split, the route's own upstream may be where a canary's failures go.
        primary_again = key == "fallback" and bool(route.split)
        seen = set() if primary_again else {(route.upstream, route.model)}
        for index, other in enumerate(others):
            if (other.upstream, other.model) in seen:
                again = "duplicate upstream and model"
                yield Problem((*path, key, index), again)
            seen.add((other.upstream, other.model))
            yield from _dialect((*path, key, index), own, upstreams.get(other.upstream))
    if route.mirror is not None:
        yield from _dialect((*path, "mirror"), own, upstreams.get(route.mirror.upstream))


def _dialect(path: Path, own: Upstream | None, other: Upstream | None) -> Iterator[Problem]:
    if own is not None and other is not None and own.dialect != other.dialect:
        wrong = f"speaks {other.dialect}, but the route's own upstream {own.dialect}"
        yield Problem((*path, "upstream"), wrong)


def _labels(path: Path, route: Route, upstream: Upstream) -> Iterator[Problem]:
    wanted = route.labels.items()
    if route.labels_missing == "error" and not any(
        wanted <= endpoint.labels.items() for endpoint in upstream.endpoints
    ):
        yield Problem(
            (*path, "labels"), f"no endpoint of upstream {route.upstream} has all of them"
        )


def _policies(parts: Parts, overlay: Overlay) -> Iterator[Problem]:
    """Check each policy by itself, and as it is in force for each route at each upstream."""
    fit = {DEFAULT, *parts.policies}
    piles = [overlay.of_policy(name) for name in sorted(fit)]
    for index, route in parts.routes.items():
        for name in targets(route):
            upstream = parts.upstreams.get(name)
            if upstream and _fits(route.policy, fit) and _fits(upstream.policy, fit):
                piles.append(overlay.of_route(index, route, parts.trees[index], name))
    for layers in piles:
        policy = overlay.effective(layers).policy
        for where, wrong in consistency.policy_violations(policy):
            yield Problem(_written(layers, where), wrong)
        tokens = policy.limits.tokens
        if tokens is not None and tokens.redis and not parts.shares:
            yield Problem(_written(layers, ("limits", "tokens", "redis")), NEEDS_STORE)


def _fits(policy: str | Policy | None, fit: set[str]) -> bool:
    return policy in fit if isinstance(policy, str) else True


def _written(layers: list[Layer], where: Path) -> Path:
    """Return the path of the key *where* in the most specific layer that has its section."""
    for layer in reversed(layers):
        value: Any = layer.tree
        for step in where[:-1]:
            value = value.get(step) if isinstance(value, Mapping) else None
        if isinstance(value, Mapping):
            return (*layer.path, *where)
    return where


def _dead_routes(routes: Mapping[int, Route], lines: Mapping[Path, int]) -> Iterator[Problem]:
    """Find routes that get no calls, as an earlier one takes them all."""
    alive: list[tuple[int, Route]] = []
    for index, route in routes.items():
        taker = next((i for i, earlier in alive if covers(earlier.match, route.match)), None)
        if taker is None:
            alive.append((index, route))
            continue
        where = f"{dotted(('routes', taker))} on line {lines[('routes', taker)]}"
        told = f"never matches: {where} matches all its calls first. Put this one before it"
        yield Problem(("routes", index), told)
