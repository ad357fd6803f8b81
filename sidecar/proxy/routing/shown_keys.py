"""Which of a caller's keys the upstreams of a route get to see."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.config.model import Route, Target, Upstream
    from sidecar.proxy.routing.stack import Parts


def shows_keys(parts: Parts, target: Route | Target) -> bool:
    """Whether the caller's keys go there; they are meant for the route's own upstream."""
    return sees_keys(parts.configs[target.upstream], own=target.upstream == parts.route.upstream)


def sees_keys(config: Upstream, *, own: bool) -> bool:
    """Whether an upstream gets callers' keys. *own*: it is the route's own."""
    said = config.credentials
    return said == "forward" or (own and said != "drop")


def hidden_keys(parts: Parts) -> Callable[[bytes], bool] | None:
    """Return whether no upstream gets the caller's header of a (lower-case) name.

    None: some upstream gets all of the caller's keys, and knows it by them.
    """
    route = parts.route
    every: list[Route | Target] = [route, *route.split, *route.fallback]
    if route.mirror is not None:
        every.append(route.mirror)
    replaced = []
    for target in every:
        if not shows_keys(parts, target):
            continue
        keys = parts.configs[target.upstream].keys()
        if not keys:
            return None
        replaced.append({key.header.lower().encode() for key in keys})
    return lambda name: all(name in headers for headers in replaced)
