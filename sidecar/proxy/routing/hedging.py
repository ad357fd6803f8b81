"""The layer of an upstream that sends hedges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.policy.quantile import Quantile
from sidecar.proxy.layers.hedge import Hedge, HedgeSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.config.model.retries import Hedge as HedgeConfig
    from sidecar.policy.admission import Admission
    from sidecar.policy.budget import Budget
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.request import Request
    from sidecar.proxy.routing.stack import Parts


def hedged(
    parts: Parts,
    upstream: str,
    config: HedgeConfig,
    inner: Layer,
    budget: Budget,
    wanted: Callable[[Request], bool],
    places: Admission | None,
    room: Callable[[Call, Request], bool] | None,
) -> Layer:
    """Return *inner*, behind what sends a second attempt beside a slow one (`layers/hedge.py`)."""
    settings = HedgeSettings(
        None if config.after is None else float(config.after),
        float(config.quantile),
        config.min_calls,
        parts.effective(upstream).policy.retry.settings().statuses,
    )
    observed = parts.transaction.get(("first bytes", parts.name, upstream), Quantile)
    return Hedge(inner, settings, budget, observed, parts.stats, wanted, places, room)
