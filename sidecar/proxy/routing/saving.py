"""The layers of a route that save upstream calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.llm.dialects import APIS
from sidecar.proxy.layers.keyed import CallKey, Keyed
from sidecar.proxy.layers.single_flight import SingleFlight

if TYPE_CHECKING:
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.routing.stack import Parts


def saving(parts: Parts, inner: Layer) -> Layer:
    """Return *inner*, behind what its policy sets to save calls."""
    route = parts.route
    policy = parts.effective(route.upstream).policy
    if policy.single_flight is None:
        return inner
    dialect = parts.configs[route.upstream].dialect
    key = CallKey(parts.name, dialect, APIS[dialect], policy.cache_key.settings())
    flight = SingleFlight(inner, int(policy.single_flight.buffer), parts.stats.saved)
    return Keyed(flight, inner, key)
