"""What was spent of budgets: sums by budget, client and period, in memory.

The sums of the ledger and what is not in it yet are kept apart, so that writing may take its time,
fail and be repeated without a sum being counted twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

Unit = Literal["money", "tokens"]
Per = Literal["hour", "day", "month"]
Action = Literal["refuse", "fallback", "count"]

OTHERS: Final = "(others)"
"""Stands for the clients beyond the number that is told apart."""
LONGEST_CLIENT: Final = 128
_SIZES: Final[dict[Per, int]] = {"month": 7, "day": 10, "hour": 13}
"""Characters of a time of ISO 8601 that name the period."""


class BudgetSettings(NamedTuple):
    """How much may be spent of one budget."""

    name: str
    unit: Unit
    amount: float
    per: Per
    fits: Callable[[str], object] | None = None
    """Whether a model counts; None: every model does."""
    header: bytes | None = None
    """Lower-case name of a header. Each of its values has the budget by itself."""
    warn_at: float = 0.8
    action: Action = "refuse"
    by_caller: bool = False
    """Whether each known caller has the budget by itself."""

    @property
    def shared(self) -> bool:
        """Whether all calls count in one sum."""
        return self.header is None and not self.by_caller


class Row(NamedTuple):
    """What a sum is of."""

    budget: str
    unit: Unit
    client: str
    """Value of the budget's header, or the caller's name; empty where all calls share it."""
    period: str
    """In UTC: `2026-11`, `2026-11-27` or `2026-11-27T22`."""


class Change(NamedTuple):
    """What is added to the sum of a row, and the budget's amount, for those who read the ledger."""

    spent: float
    amount: float


def period_of(per: Per, unix_now: float) -> str:
    """Return the name of the period in which *unix_now* is."""
    return datetime.fromtimestamp(unix_now, UTC).isoformat()[: _SIZES[per]]


def seconds_left(per: Per, unix_now: float) -> float:
    """Return the seconds until the period of *unix_now* ends."""
    now = datetime.fromtimestamp(unix_now, UTC)
    begin = now.replace(minute=0, second=0, microsecond=0)
    if per == "hour":
        end = begin + timedelta(hours=1)
    elif per == "day":
        end = begin.replace(hour=0) + timedelta(days=1)
    else:  # the first of a month and 32 days are in the next month, whatever its length
        end = (begin.replace(day=1, hour=0) + timedelta(days=32)).replace(day=1)
    return (end - now).total_seconds()


def is_over(period: str, unix_now: float) -> bool:
    """Whether the period of this name has ended."""
    now = datetime.fromtimestamp(unix_now, UTC).isoformat()
    return period < now[: len(period)]


class Spending:
    """The sums. *known* are those of the ledger; *most* clients of a budget are told apart."""

    def __init__(self, known: Mapping[Row, float], most: int) -> None:
        self.most = most
        self._known: dict[Row, float] = {}
        self._waiting: dict[Row, Change] = {}
        self._writing: dict[Row, Change] = {}
        self._clients: dict[tuple[str, Unit, str], int] = {}
        self._learn(known)

    def __len__(self) -> int:
        return len(self._known)

    @property
    def unwritten(self) -> bool:
        """Whether something is not in the ledger yet."""
        return bool(self._waiting or self._writing)

    def row(self, budget: BudgetSettings, client: str, unix_now: float) -> Row:
        """Return the row of a client of *budget*."""
        period = period_of(budget.per, unix_now)
        row = Row(budget.name, budget.unit, client[:LONGEST_CLIENT], period)
        if row in self._known or self._clients.get((*row[:2], period), 0) < self.most:
            return row
        return row._replace(client=OTHERS)

    def spent(self, row: Row) -> float:
        """Return its sum."""
        total = self._known.get(row, 0.0)
        for changes in (self._writing, self._waiting):
            if row in changes:
                total += changes[row].spent
        return total

    def add(self, row: Row, spent: float, amount: float) -> None:
        """Add to its sum."""
        self._learn({row: self._known.get(row, 0.0)})
        before = self._waiting.get(row)
        self._waiting[row] = Change(spent + (before.spent if before else 0.0), amount)

    def begin_writing(self) -> Mapping[Row, Change]:
        """Return what is to be written; empty if nothing is, or an earlier batch is not done."""
        if self._writing:
            return {}
        self._writing, self._waiting = self._waiting, {}
        return self._writing

    def wrote(self, totals: Mapping[Row, float]) -> None:
        """The batch is in the ledger, whose new sums are *totals*: of this and other processes."""
        for row, change in self._writing.items():
            if row not in totals:
                self._known[row] = self._known.get(row, 0.0) + change.spent
        self._writing = {}
        self._learn(totals)

    def not_written(self) -> None:
        """The batch is not in the ledger: it is to be written again."""
        again, self._writing = self._writing, {}
        for row, change in again.items():
            before = self._waiting.get(row)
            more = before.spent if before else 0.0
            self._waiting[row] = Change(change.spent + more, change.amount)

    def read(self, totals: Mapping[Row, float]) -> None:
        """Take sums that other processes have changed."""
        self._learn(totals)

    def current(self, budget: BudgetSettings, unix_now: float) -> dict[str, float]:
        """Return the sums of the period of now, by client."""
        now = period_of(budget.per, unix_now)
        rows = [
            row
            for row in self._known.copy()
            if row.budget == budget.name and row.unit == budget.unit and row.period == now
        ]
        return {row.client: self.spent(row) for row in rows}

    def rows(self, budget: str) -> list[Row]:
        """Return the rows of the budget of this name."""
        return [row for row in self._known if row.budget == budget]

    def forget(self, unix_now: float) -> None:
        """Forget periods that have ended, as far as they are in the ledger."""
        for row in [row for row in self._known if is_over(row.period, unix_now)]:
            if row not in self._waiting and row not in self._writing:
                del self._known[row]
                self._clients[row.budget, row.unit, row.period] -= 1
        self._clients = {key: count for key, count in self._clients.items() if count}

    def _learn(self, totals: Mapping[Row, float]) -> None:
        for row, total in totals.items():
            if row not in self._known:
                key = row.budget, row.unit, row.period
                self._clients[key] = self._clients.get(key, 0) + 1
            self._known[row] = total
