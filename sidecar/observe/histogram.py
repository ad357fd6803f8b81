"""Counts of observations in buckets."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

SECONDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
)  # fmt: skip
"""Bucket bounds, from a cached reply to a reasoning model's."""


class Histogram:
    """Counts of observations per bucket (the last is +Inf), not cumulative, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count *value* in the bucket whose upper bound it does not pass."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_each(self, value: float, times: int) -> None:
        """Count *value* so many times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times
