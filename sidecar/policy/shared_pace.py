"""A pace that sidecars of one quota find together, where replies tell nothing but refusals.

Each tells a store how many calls it makes and wants, and what was refused. The store has one pace
for all, which grows and falls as that of one sidecar would (`aimd.py`): so the fleet is refused as
seldom as a single one. It divides this so that the least demand is met first (max-min fairness).
What a provider said to one, that no call is to come for some time, holds for all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from sidecar.policy.aimd import Law
from sidecar.policy.pace import Pace

LAW: Final = Law(takes=0.1, fewest=1 / 60, share=0.005, search=0.1)
"""Takes less than where each has a pace of its own: there, a refusal takes from one of many, here
from all. So more may be risked, and the pace is near its limit all the time."""
TRUSTED: Final = 3.0
"""Seconds for which what the store says holds."""
_QUIET: Final = 0.02
"""Calls a second that are not worth telling of."""


class Report(NamedTuple):
    """What a sidecar tells the store. It is the same number until it is answered."""

    number: int
    sent: float
    """Calls a second that go."""
    wanted: float
    """Calls a second that would go without a pace."""
    refused: int
    """1 if calls were refused since the last report; 2 if they grew too fast."""
    stop: float
    """Seconds for which the provider wants no calls."""
    known: float
    """The pace of all, if the store has lost it; 0: it has not."""


class Share(NamedTuple):
    """What the store says."""

    rate: float | None
    """Calls a second that a sidecar may make; None: any number, nothing was refused."""
    all: float
    """Calls a second of all sidecars; 0: any number."""
    stop: float
    """Seconds for which no call is to go."""


class SharedPace:
    """The part of one sidecar."""

    def __init__(self, pace: Pace, tell: Callable[[], None]) -> None:
        """*tell* is called when the store is to be told at once."""
        self.pace = pace
        self._tell = tell
        self._all = 0.0
        self._lost = False
        self._number = 0
        self._refused = 0
        self._stop_until = 0.0
        self._reported: Report | None = None

    def refused(self, after: float, *, too_fast: bool, now: float) -> None:
        """The provider refused a call, and wants none for *after* seconds."""
        self._refused = max(self._refused, 2 if too_fast else 1)
        self._stop_until = max(self._stop_until, now + after)
        self._tell()

    @property
    def urgent(self) -> bool:
        """Whether a refusal is to be told, or the pace to a store that has forgotten it."""
        return bool(self._refused) or self._lost or self._reported is not None

    def lost(self) -> None:
        """The store has forgotten the pace: tell it."""
        self._lost = True

    def report(self, now: float) -> Report | None:
        """Return what is to be told; None: nothing is."""
        sent, wanted = self.pace.demand(now)
        before = self._reported
        if before is None:
            if not self._refused and wanted < _QUIET and not self.pace.waiting:
                return None
            self._number += 1
            before = Report(self._number, 0.0, 0.0, self._refused, 0.0, 0.0)
            self._refused = 0
        stop = max(0.0, self._stop_until - now)
        known = self._all if self._lost else 0.0
        self._reported = before._replace(sent=sent, wanted=wanted, stop=stop, known=known)
        return self._reported

    def answered(self, share: Share, now: float) -> None:
        """Go by what the store says."""
        told = self._reported is not None and self._reported.known > 0
        self._lost = self._lost and self._all > 0 and not told
        self._reported = None
        self._all = share.all or self._all
        self.pace.share(share.rate, share.stop, now + TRUSTED, now)
