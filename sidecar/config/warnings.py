"""What a configuration may say, but hardly means: `sidecar check` and the log tell it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sidecar.config.model import Route, Upstream
from sidecar.config.problems import Path, Problem
from sidecar.config.route import Target


def doubtful(routes: Mapping[int, Route], upstreams: Mapping[str, Upstream]) -> Iterator[Problem]:
    """Everything of this kind in a configuration that is fit to serve."""
    for index, route in routes.items():
        yield from _without_keys(("routes", index), route, upstreams)


def _without_keys(path: Path, route: Route, upstreams: Mapping[str, Upstream]) -> Iterator[Problem]:
    """Other upstreams that get calls without the caller's keys, and have none of their own."""
    groups: tuple[tuple[str, tuple[Target, ...]], ...]
    groups = ("split", route.split), ("fallback", route.fallback)
    others = [((*path, key, n), each) for key, group in groups for n, each in enumerate(group)]
    if route.mirror is not None:
        others.append(((*path, "mirror"), route.mirror))
    for where, other in others:
        if other.upstream != route.upstream and upstreams[other.upstream].credentials is None:
            yield Problem(
                (*where, "upstream"),
                f"{other.upstream} gets no keys: those of callers are meant for {route.upstream}, "
                f"and it has no credentials of its own. Give it some, or say `credentials: "
                f"forward` there, or `drop` if it needs none",
            )
