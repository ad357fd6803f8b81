"""The settings of a breaker, in a file of their own that does not import aiobreaker."""

from __future__ import annotations

from typing import NamedTuple


class BreakerSettings(NamedTuple):
    """Rates and `jitter` are shares (0..1), times are seconds. But `jitter`, all are above 0."""

    failure_rate: float
    slow_rate: float
    slow_after: float | None
    """An attempt that took longer is slow. None: only one that lost to a hedge."""
    min_calls: int
    window: float
    window_calls: int
    """The last `window_calls` results, none older than `window`."""
    open: float
    """Doubles with each opening that follows a failed trial, up to `open_max`."""
    open_max: float
    jitter: float
    trials: int
