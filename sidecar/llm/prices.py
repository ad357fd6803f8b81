"""The cost of tokens."""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.llm.usage import Usage

_MILLION: Final = 1_000_000


class Price(msgspec.Struct, frozen=True):
    """The prices of one model for a million tokens, in any currency."""

    input: float
    output: float
    cached: float | None = None
    """Price of tokens read from the provider's cache; by default that of `input`."""
    cache_write: float | None = None
    """Price of tokens written to the provider's cache; by default that of `input`."""


def saved(price: Price, usage: Usage) -> float:
    """Return what the cached tokens of *usage* would have cost more without the cache."""
    cached = price.input if price.cached is None else price.cached
    return min(usage.cached, usage.input) * (price.input - cached) / _MILLION


def cost(price: Price, usage: Usage) -> float:
    """Return the cost of *usage*."""
    plain = max(0, usage.input - usage.cached - usage.cache_write)
    cached = price.input if price.cached is None else price.cached
    written = price.input if price.cache_write is None else price.cache_write
    return (
        plain * price.input
        + usage.cached * cached
        + usage.cache_write * written
        + usage.output * price.output
    ) / _MILLION
