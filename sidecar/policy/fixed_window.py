"""Providers that fill their bucket at once, at the end of a window of a minute.

A bucket that refills continuously is full again after the time that its missing part takes. One
whose replies name a much longer time is filled at the end of a window. There, what counts is not
how full it is, but how that compares with an even spread: what is left of the limit, less what is
left of the time. Where all together use the limit evenly, this surplus stands still, as the level
of the other kind of bucket does; so the same pace follows from it.
"""

from __future__ import annotations

import math
from typing import Final

WINDOW: Final = 60.0
"""Seconds: limits are per minute."""
_LONGER: Final = 9.0
"""Seconds: a bucket that refills continuously names no time that is longer by so much."""
_ALIKE: Final = 6.0
"""Seconds by which a time may differ from that of a bucket that refills continuously."""
_CONVINCED: Final = 20.0
"""Seconds for which all times must be alike: at half of a window they are for a moment."""
_MIDDLE: Final = 0.5
"""The level that stands for an even spread: the pace is then right for some fifty callers."""
_GAIN: Final = 5.0
"""How much the mean surplus counts beside the latest. It must be large, for what a surplus is at
the end of the window is not used; and the latest must not count as much, since it is old news."""
_MEAN: Final = 60.0
"""Seconds over which the mean is taken."""
_FASTEST: Final = 2.0
"""Times the even pace: what was left over may go in the rest of the window, but not all at once."""
_MOST: Final = 0.1
"""The mean is bounded, so that it is not far off after times without calls."""


class FixedWindow:
    """Whether a bucket is filled at the end of a window, and the level that stands for its state.

    It has no clock: *now* is in monotonic seconds.
    """

    __slots__ = ("_alike_since", "_at", "_mean", "found", "speed")

    def __init__(self) -> None:
        self.found = False
        """Whether it is filled at the end of a window."""
        self.speed = 1.0
        """The fastest pace, as a multiple of an even one."""
        self._alike_since: float | None = None
        self._mean = 0.0
        self._at = 0.0

    def level(self, fill: float, reset: float, now: float) -> float:
        """Return the level to pace by, up to 1: *fill*, if the bucket refills continuously.

        *fill* is what is left of the limit, as a share; *reset* the seconds until it is full.
        """
        self._look(reset - (1.0 - fill) * WINDOW, reset, now)
        if not self.found:
            self.speed = 1.0
            return fill
        left = min(1.0, reset / WINDOW)
        surplus = fill - left
        self.speed = min(_FASTEST, max(1.0, fill / max(left, 0.01)))
        weight = -math.expm1((self._at - now) / _MEAN)
        self._at = now
        self._mean += (surplus - self._mean) * weight
        self._mean = min(_MOST, max(-_MOST, self._mean))
        return min(1.0, max(0.0, _MIDDLE + surplus + _GAIN * self._mean))

    def _look(self, longer: float, reset: float, now: float) -> None:
        """Judge a time that is *longer* than that of a bucket that refills continuously."""
        if abs(longer) >= _ALIKE:
            self._alike_since = None
            if longer > _LONGER and reset <= WINDOW + 1 and not self.found:
                self.found, self._mean, self._at = True, 0.0, now
        elif self._alike_since is None:
            self._alike_since = now
        elif now - self._alike_since > _CONVINCED:
            self.found = False
