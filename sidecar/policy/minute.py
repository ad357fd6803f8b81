"""What was used within the last minute: a sliding window whose entries may be corrected later.

A provider charges a call when it begins, by an estimate. So an amount counts from then on, and when
the true one is known it takes the estimate's place, as if it had been there from the start.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final

_SECONDS: Final = 60


class Slot:
    """The amounts of one second."""

    __slots__ = ("amount", "second")

    def __init__(self, second: int) -> None:
        self.second = second
        self.amount = 0


class Minute:
    """Amounts of the last 60 seconds, at most `limit` together.

    Amounts are summed by the second, so that a window has at most 61 entries, however many calls
    come. An amount counts until the second in which it came is past by 60, which is never too soon,
    and up to one second too long.
    """

    __slots__ = ("_slots", "_sum", "limit")

    def __init__(self, limit: int) -> None:
        """*limit* is at least 1."""
        self.limit = limit
        self._sum = 0
        self._slots: deque[Slot] = deque()

    def __repr__(self) -> str:
        return f"<Minute, {self._sum} of {self.limit}>"

    def adjust(self, limit: int) -> None:
        """Use another limit from now on."""
        self.limit = limit

    def used(self, now: float) -> int:
        """Return the sum of the last minute. It may exceed the limit after a correction."""
        slots, oldest = self._slots, int(now) - _SECONDS
        while slots and slots[0].second < oldest:
            self._sum -= slots.popleft().amount
        return self._sum

    def since(self, second: int) -> int:
        """Return the sum from the start of *second* on, which is not long ago."""
        total = 0
        for slot in reversed(self._slots):
            if slot.second < second:
                break
            total += slot.amount
        return total

    def fits(self, amount: int, now: float) -> bool:
        """Whether *amount* may be added now. 0 always may."""
        return not amount or self.used(now) + amount <= self.limit

    def wait(self, amount: int, now: float) -> float:
        """Return the seconds until *amount* fits, if nothing is added; infinity: it never will."""
        if self.fits(amount, now):
            return 0.0
        over = self._sum + amount - self.limit
        for slot in self._slots:
            over -= slot.amount
            if over <= 0:
                return slot.second + _SECONDS + 1 - now
        return inf

    def add(self, amount: int, now: float) -> Slot:
        """Add *amount*, whether it fits or not. Return its place, for `amend`."""
        self.used(now)
        slots, second = self._slots, int(now)
        if not slots or slots[-1].second != second:
            slots.append(Slot(second))
        slots[-1].amount += amount
        self._sum += amount
        return slots[-1]

    def amend(self, slot: Slot, more: int, now: float) -> None:
        """Correct an amount in *slot* by *more*, which may be negative.

        When its minute is over, only what it lacked counts, from now on.
        """
        self.used(now)
        if slot.second >= int(now) - _SECONDS:
            slot.amount += more
            self._sum += more
        elif more > 0:
            self.add(more, now)
