"""The layer of a route that sends calls to where their state is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.routing.stack import Parts


def homing(parts: Parts, inner: Layer, ways: Mapping[str, Layer]) -> Layer:
    """Return *inner*, behind what sends calls home if the policy says so; *ways* by upstream."""
    policy = parts.effective(parts.route.upstream).policy
    if policy.state != "home":
        return inner
    # Imported when it is used, so that others don't pay for it in memory.
    from sidecar.policy.homes import Homes
    from sidecar.proxy.layers.homing import Homing

    # One map for all routes, which outlives reloads: a file may be fetched by another route.
    homes = parts.transaction.get("homes", Homes)
    return Homing(inner, ways, parts.route.upstream, homes, int(policy.hold), parts.stats)
