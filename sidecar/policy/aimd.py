"""A pace for a provider that tells nothing but its refusals.

Additive increase, multiplicative decrease (Chiu and Jain, 1989; V. Jacobson, "Congestion avoidance
and control", 1988): from the rate at which a refusal came, half is left, and it grows by a constant
amount a second. Who sends most is refused most often, so that shares become alike. A provider's
bucket holds what a minute refills, so growth may be slow: while all together send too little, it
fills, and nothing is lost.
"""

from __future__ import annotations

import math
from typing import Final

_MEMORY: Final = 15.0
"""Seconds over which the rate of calls is measured."""
_HALF: Final = 0.5
_GROWTH: Final = 1 / 200
"""Of the rate at which a refusal came, a second."""
_SLOW_GROWTH: Final = 1 / 1000
"""The same after a refusal for growing too fast."""
_FORGET: Final = 4.0
"""Above so many times the rate at which a refusal came, it tells nothing any more."""
_BURST: Final = 3.0
_LEAST: Final = 1 / 60
"""Calls a second."""


class Aimd:
    """Bounds calls a second once the provider has refused one."""

    __slots__ = ("_at", "_counted", "_debt", "_growth", "_top", "rate")

    def __init__(self) -> None:
        self.rate: float | None = None
        """Calls a second; None: any number."""
        self._top = 0.0
        """The rate at which the last refusal came."""
        self._growth = 0.0
        self._debt = 0.0
        """Calls that went and are not yet paced out."""
        self._counted = 0.0
        """Calls of the last seconds, older ones for less."""
        self._at = 0.0

    def pass_time(self, now: float) -> None:
        """Let the rate grow."""
        passed, self._at = max(0.0, now - self._at), now
        self._counted *= math.exp(-passed / _MEMORY)
        if self.rate is None:
            return
        grown = self.rate + self._growth * passed
        self._debt = max(0.0, self._debt - passed * (self.rate + grown) / 2)
        self.rate = grown if grown < _FORGET * self._top else None

    def sent(self) -> None:
        """A call goes, at the time of `pass_time`."""
        self._counted += 1.0
        if self.rate is not None:
            self._debt += 1.0

    def wait(self) -> float:
        """Return the seconds until a call may go, at the time of `pass_time`; at most so many."""
        if self.rate is None:
            return 0.0
        return max(0.0, self._debt - _BURST * self.rate) / self.rate

    def refused(self, *, too_fast: bool) -> None:
        """A call was refused, at the time of `pass_time`."""
        rate = self._counted / _MEMORY
        self._top = max(_LEAST, rate if self.rate is None else min(rate, self.rate))
        self._growth = self._top * (_SLOW_GROWTH if too_fast else _GROWTH)
        self.rate = max(_LEAST, self._top * _HALF)
