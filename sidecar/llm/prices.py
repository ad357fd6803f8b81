"""What tokens cost."""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.llm.usage import Usage

_MILLION: Final = 1_000_000


class Price(msgspec.Struct, frozen=True):
    """Of one model, in any currency, for a million tokens each."""

    input: float
    output: float
    cached: float | None = None
    """Read from the provider's cache. Absent: as `input`."""
    cache_write: float | None = None
    """Written into the provider's cache. Absent: as `input`."""


def cost(price: Price, usage: Usage) -> float:
    """What *usage* costs. Where the parts are more than the whole, the parts count."""
    plain = max(0, usage.input - usage.cached - usage.cache_write)
    cached = price.input if price.cached is None else price.cached
    written = price.input if price.cache_write is None else price.cache_write
    return (
        plain * price.input
        + usage.cached * cached
        + usage.cache_write * written
        + usage.output * price.output
    ) / _MILLION
