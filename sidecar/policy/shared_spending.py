"""What all ledgers together have spent of budgets, as far as one of them knows.

Each ledger tells its own sum, which only grows, under its own name. So it can be told any number of
times, late or again, and counts once; and what a store has forgotten is told again. What the others
have spent is the total less what this ledger had told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from sidecar.policy.spending import Row, is_over

_IN_USE: Final = 60.0
"""Seconds after its last call for which a sum is asked for."""
_AGAIN: Final = 300.0
"""Seconds after which any sum is told again, in case that the store has forgotten it."""


class Sum(NamedTuple):
    """The sums of a row, of this ledger and of all, at the time they were told."""

    own: float
    total: float


class _State:
    __slots__ = ("asked", "due", "others", "told", "used")

    def __init__(self, others: float) -> None:
        self.others = others
        self.told: Sum | None = None
        self.due = True
        """Whether our own sum is to be told."""
        self.used = float("-inf")
        self.asked = float("-inf")


class SharedSpending:
    """The sums of rows; *own* returns that of this ledger. *others*: what was known of the others
    before. Times are in seconds of a clock that goes on steadily."""

    def __init__(self, own: Callable[[Row], float], others: Iterable[tuple[Row, float]]) -> None:
        self._own = own
        self._rows: dict[Row, _State] = {row: _State(spent) for row, spent in others}

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self) -> list[Row]:
        """Return all rows. May be called on any thread."""
        return list(self._rows)

    def use(self, row: Row, now: float) -> bool:
        """A call counts in *row*. Return whether nothing was told of it yet."""
        state = self._rows.get(row)
        if state is None:
            state = self._rows[row] = _State(0.0)
        state.used = now
        return state.told is None

    def added(self, row: Row) -> None:
        """Our own sum has grown."""
        state = self._rows.get(row)
        if state is None:
            state = self._rows[row] = _State(0.0)
        state.due = True

    def others(self, row: Row) -> float:
        """Return what other ledgers have spent, as far as known."""
        state = self._rows.get(row)
        return 0.0 if state is None else state.others

    def left(self, row: Row, amount: float, peers: int, *, answers: bool) -> float:
        """Return what may still be spent of *amount*; nothing if it is negative.

        While the store does not answer, that is an equal part of what was left when it last did:
        *peers* sidecars that do so spend no more than there was.
        """
        own, others = self._own(row), self.others(row)
        left = amount - own - others
        if answers:
            return left
        state = self._rows.get(row)
        told = None if state is None else state.told
        if told is None:
            return (amount - others) / peers - own
        return min(left, told.own + (amount - told.total) / peers - own)

    def to_ask(self, most: int, now: float, unix_now: float) -> list[tuple[Row, float]]:
        """Return rows that are to be told and asked for, at most so many, with our own sums."""
        wanted = []
        for row, state in list(self._rows.items()):
            due = state.due or now - state.asked > _AGAIN
            in_use = now - state.used < _IN_USE
            # Callers may name any client: of one for which nobody has spent, nothing is kept.
            nothing = not in_use and not state.others and not self._own(row)
            if nothing or (is_over(row.period, unix_now) and not state.due):
                del self._rows[row]
            elif due or in_use:
                wanted.append((not state.due, state.asked, row))
        wanted.sort(key=lambda each: each[:2])
        return [(row, self._own(row)) for _, _, row in wanted[:most]]

    def answered(self, row: Row, told: Sum, now: float) -> None:
        """The store has taken *told.own*, and says the total."""
        state = self._rows.get(row)
        if state is None:
            return
        state.told, state.asked = told, now
        state.others = max(0.0, told.total - told.own)
        state.due = self._own(row) > told.own

    def lost(self) -> None:
        """The store knows nothing any more."""
        for state in self._rows.values():
            state.due = True
