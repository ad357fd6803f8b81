"""Limits retries, so that they can't multiply an overload.

Sources: Google, "Site Reliability Engineering", chapter 21, "Deciding to retry" (a retry budget per
client, as a share of its calls); Finagle's `RetryBudget` (a floor per second, so that a caller with
few calls can retry at all).
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final, NamedTuple

_BUCKETS: Final = 10
_MOST_EXCUSED: Final = 1000
"""Excuses that are kept. Some are never used: not every SDK retries."""


class BudgetSettings(NamedTuple):
    """Retries that are allowed in `window` seconds: `ratio` of the calls in it, and a floor."""

    ratio: float
    min_per_second: float
    window: float
    """More than 0."""


class Budget:
    """Calls and retries of a window that slides in tenths.

    Both are total counts; `_marks` has the counts at the beginnings of the ten buckets before
    this one and of this one, the oldest first. So the window is 1.0 to 1.1 times as long as
    the setting, and retries within the set time never exceed what that window allows.
    """

    __slots__ = ("_calls", "_ends", "_excused", "_marks", "_retries", "_settings", "_width")

    def __init__(self, settings: BudgetSettings) -> None:
        self._settings = settings
        self._width = settings.window / _BUCKETS
        self._calls = self._retries = self._excused = 0
        self._ends = -math.inf
        self._marks = deque([(0, 0)] * (_BUCKETS + 1), _BUCKETS + 1)

    @property
    def settings(self) -> BudgetSettings:
        """May be replaced. With another window, earlier counts date from the next use."""
        return self._settings

    @settings.setter
    def settings(self, settings: BudgetSettings) -> None:
        width = settings.window / _BUCKETS
        if width != self._width:
            self._width = width
            self._ends = -math.inf
            self._marks.extend([self._marks[0]] * len(self._marks))
        self._settings = settings

    def count(self, now: float) -> None:
        """Count a call."""
        if now >= self._ends:
            self._rotate(now)
        self._calls += 1

    def allows(self, now: float) -> bool:
        """Whether one more retry is allowed."""
        return self.balance(now) >= 1

    def spend(self, now: float) -> bool:
        """Take one retry, if it is allowed."""
        if not self.allows(now):
            return False
        self._retries += 1
        return True

    def excuse(self) -> None:
        """Do not count one of the next `charge` calls: that retry was asked for."""
        self._excused = min(self._excused + 1, _MOST_EXCUSED)

    def charge(self, now: float) -> None:
        """Count a retry that was decided elsewhere, by an SDK for example; it may overdraw."""
        if self._excused:
            self._excused -= 1
            return
        if now >= self._ends:
            self._rotate(now)
        self._retries += 1

    def balance(self, now: float) -> float:
        """Retries that are left; less than 0 when it was overdrawn."""
        if now >= self._ends:
            self._rotate(now)
        calls, retries = self._marks[0]
        ratio, min_per_second, window = self._settings
        allowed = ratio * (self._calls - calls) + min_per_second * window
        return allowed - (self._retries - retries)

    def _rotate(self, now: float) -> None:
        if (
            self._ends == -math.inf
        ):  # no bucket of this width was begun: earlier counts belong to this one
            self._ends = now + self._width
            return
        steps = int((now - self._ends) / self._width) + 1
        self._ends += steps * self._width
        mark = (self._calls, self._retries)
        self._marks.extend([mark] * min(steps, len(self._marks)))
