"""A pace for a provider that tells nothing but its refusals.

Increase while nothing is refused, multiplicative decrease when a call is (Chiu and Jain, 1989;
V. Jacobson, "Congestion avoidance and control", 1988). From the rate at which the first refusal
came, half is left, and of the pace each later one takes three tenths.

How fast it grows decides how many calls are refused and how equal the shares become. At the pace
x, a refusal is due about every 1/f(x) seconds, since what grows in this time is what a refusal
takes; so a share f(x)/x of the calls is refused. All see the same share, and so have the same pace
in the end, if f(x)/x falls with x; the steeper, the sooner. f falls as well here while x is small,
since few calls bring few refusals: who has less grows faster. It has a lower bound, so that what
others no longer want is used some day, and an upper one, so that of few calls not too many are
refused. docs/limits.md says what can't be reached in this way.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

_MEMORY: Final = 15.0
"""Seconds over which the rate of calls is measured."""
_FIRST: Final = 0.5
"""What the first refusal takes of that rate."""
_TAKES: Final = 0.3
"""What a later one takes of the pace."""
_SCALE: Final = 1 / 1600
"""Refusals a second that are aimed at, at a pace of one call a second."""
_FALLS: Final = -0.75
"""The power of the pace with which they change."""
_FEWEST: Final = 1 / 700
"""So many at least, for a large pace."""
_SHARE: Final = 0.1
"""Share of the calls that is risked at most, at a small pace."""
_SEARCH: Final = 1 / 200
"""So many at first; half of it after each refusal."""
_SLOW: Final = 0.2
"""What remains of the growth after a refusal for growing too fast."""
_FORGET: Final = 3600.0
"""Seconds for which no call had to wait, after which a refusal is forgotten."""
_BURST: Final = 3.0
"""Seconds' worth of the pace that may go at once after a pause."""
_LEAST: Final = 1 / 60
"""Calls a second."""


class Law(NamedTuple):
    """The numbers above, for a store that goes by them."""

    first: float = _FIRST
    takes: float = _TAKES
    scale: float = _SCALE
    falls: float = _FALLS
    fewest: float = _FEWEST
    share: float = _SHARE
    search: float = _SEARCH
    slow: float = _SLOW
    forget: float = _FORGET
    least: float = _LEAST


class Aimd:
    """Bounds calls a second once the provider has refused one."""

    __slots__ = ("_at", "_counted", "_debt", "_given", "_held", "_refusals", "_slow", "rate")

    def __init__(self) -> None:
        self.rate: float | None = None
        """Calls a second; None: any number."""
        self._refusals = 0
        self._slow = False
        """Whether the last refusal was for growing too fast."""
        self._debt = 0.0
        """Calls that went and are not yet paced out."""
        self._held = 0.0
        """When a call would have had to wait last."""
        self._given = float("-inf")
        """Until when the pace is one that was given."""
        self._counted = 0.0
        """Calls of the last seconds, older ones for less."""
        self._at = 0.0

    def pass_time(self, now: float) -> None:
        """Let the pace grow, if it is what holds calls back: else its limit would not be known."""
        passed, self._at = max(0.0, now - self._at), now
        self._counted *= math.exp(-passed / _MEMORY)
        if self.rate is None:
            return
        if now < self._given:
            self._held = now
        elif self._debt > max(0.0, _BURST * self.rate - 1.0):
            self._held = now
            self.rate *= math.exp(min(1.0, _TAKES * self._due() * passed))
        elif now - self._held > _FORGET:
            self.rate, self._refusals = None, 0
            return
        self._debt = max(0.0, self._debt - passed * self.rate)

    @property
    def recent(self) -> float:
        """The rate of calls lately, at the time of `pass_time`."""
        return self._counted / _MEMORY

    def give(self, rate: float | None, until: float) -> None:
        """Go by *rate*, which was found elsewhere; from *until* on by what follows from it."""
        self.rate, self._given = rate, until

    def _due(self) -> float:
        """Return the refusals a second that the growth is to bring."""
        assert self.rate is not None
        due = max(_FEWEST, _SCALE * math.pow(self.rate, _FALLS))
        due = max(min(_SHARE * self.rate, due), _SEARCH * 0.5**self._refusals)
        return due * _SLOW if self._slow else due

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
        if self._at < self._given:
            return  # who gave it takes it
        if self.rate is None:
            rate = self._counted / _MEMORY * (1 - _FIRST)
        else:
            rate = self.rate * (1 - _TAKES)
            self._refusals += 1
        self.rate = max(_LEAST, rate)
        self._held = self._at
        self._slow = too_fast
