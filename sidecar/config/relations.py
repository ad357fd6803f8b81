"""What the parts of a configuration must be to each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from sidecar.config.cover import covers
from sidecar.config.grammar import captures
from sidecar.config.model import Route, Upstream
from sidecar.config.problems import Path, Problem, dotted


class Parts(Struct):
    """The parts that could be decoded, each at its place."""

    upstreams: dict[str, Upstream]
    routes: dict[int, Route]


def broken_relations(parts: Parts, lines: Mapping[Path, int]) -> Iterator[Problem]:
    """Everything that only shows when several values are looked at together."""
    for name, upstream in parts.upstreams.items():
        yield from _upstream(("upstreams", name), upstream)
    for index, route in parts.routes.items():
        yield from _route(("routes", index), route)
        yield from _captured(("routes", index, "match"), route, parts.upstreams)
    yield from _dead_routes(parts.routes, lines)


def _upstream(path: Path, upstream: Upstream) -> Iterator[Problem]:
    seen: set[tuple[str | None, str | None]] = set()
    for index, endpoint in enumerate(upstream.endpoints):
        place = endpoint.url, endpoint.dns
        if place in seen:
            yield Problem((*path, "endpoints", index), "the same endpoint a second time")
        seen.add(place)
    if upstream.tls.key is not None and upstream.tls.cert is None:
        yield Problem((*path, "tls", "key"), "needs the certificate that it belongs to, `cert`")


def _route(path: Path, route: Route) -> Iterator[Problem]:
    if route.rewrite is not None and route.match.path is None:
        yield Problem((*path, "rewrite"), "replaces match.path, which is not given")
    lowered = [name.lower() for name in route.match.headers]
    if len(set(lowered)) < len(lowered):
        yield Problem((*path, "match", "headers"), "a header stands twice")


def _captured(path: Path, route: Route, upstreams: Mapping[str, Upstream]) -> Iterator[Problem]:
    """What a route captures is what its upstream's URLs need."""
    captured = captures(route.match.host, route.match.path)
    for name in sorted({name for name in captured if captured.count(name) > 1}):
        yield Problem(path, f"captures {{{name}}} twice")
    upstream = upstreams.get(route.upstream)
    needed = captures(*(each.url for each in upstream.endpoints)) if upstream else []
    for name in sorted(set(needed) - set(captured)):
        yield Problem(
            path,
            f"host or path must capture {{{name}}}: a URL of upstream {route.upstream} needs it",
        )


def _dead_routes(routes: Mapping[int, Route], lines: Mapping[Path, int]) -> Iterator[Problem]:
    """Routes that an earlier one leaves no call for."""
    alive: list[tuple[int, Route]] = []
    for index, route in routes.items():
        taker = next((i for i, earlier in alive if covers(earlier.match, route.match)), None)
        if taker is None:
            alive.append((index, route))
            continue
        where = f"{dotted(('routes', taker))} on line {lines[('routes', taker)]}"
        yield Problem(("routes", index), f"never matches: {where} takes all its calls")
