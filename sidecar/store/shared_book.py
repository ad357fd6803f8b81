"""Sums of budgets over all ledgers, by a store in which each tells its own."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sidecar.policy.shared_spending import SharedSpending, Sum
from sidecar.policy.spending import Change, is_over, period_of, seconds_left
from sidecar.store.base import Run, script
from sidecar.store.exchange import Question
from sidecar.store.ledger import read_shared

if TYPE_CHECKING:
    from sidecar.policy.spending import BudgetSettings, Row
    from sidecar.store.book import Book
    from sidecar.store.exchange import Exchange

_MOST: Final = 256
"""Sums that are asked for in a round."""
_KEPT: Final = 2 * 86_400
"""Seconds for which the store keeps a sum after its period."""
_NOTED: Final = 2.0
"""Seconds after which the ledger is told what the others have spent."""

_TELL: Final = script("""
local known = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
local own = tonumber(ARGV[2])
if own > known then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('HINCRBYFLOAT', KEYS[1], 'all', own - known)
  if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
  known = own
end
return {string.format('%.17g', known), redis.call('HGET', KEYS[1], 'all') or '0'}
""")
"""Raises the sum of a ledger to what it says, and the total with it. Never lowers one: what comes
late is known already."""


class SharedBook:
    """The sums of *book*, with those of other ledgers. Raises OSError if it can't be read."""

    def __init__(self, path: str, book: Book, exchange: Exchange) -> None:
        self._book = book
        self._exchange = exchange
        self._name, others = read_shared(path)
        unix_now = time.time()
        known = {row: spent for row, spent in others.items() if not is_over(row.period, unix_now)}
        self._shared = SharedSpending(book.spending.spent, known.items())
        self._budgets: dict[str, BudgetSettings] = {}
        self._news: dict[Row, Change] = {}
        self._noted = time.monotonic()

    def __repr__(self) -> str:
        return f"<SharedBook of {len(self._shared)} sums>"

    @property
    def answers(self) -> bool:
        """Whether the store does. If it does not, the sums are those of the last answer."""
        return self._exchange.answers

    @property
    def peers(self) -> int:
        """The sidecars that share, as far as known."""
        return self._exchange.peers

    def now(self) -> float:
        """Return the time of day by the store's clock, which all sidecars go by."""
        return self._exchange.now()

    def start(self) -> None:
        """Take part in the exchange, from the first time on."""
        self._exchange.join(self)

    def retire(self) -> None:
        """Tell what is left in one more round."""
        self._exchange.leave(self)

    def forget(self) -> None:
        """Share no budget but those that are configured from now on."""
        self._budgets.clear()

    def configure(self, budget: BudgetSettings) -> None:
        """Share the sums of *budget*. What is in the ledger is told too."""
        self._budgets[budget.name] = budget
        for row in self._book.spending.rows(budget.name):
            if not is_over(row.period, self.now()):
                self._shared.added(row)

    def unknown(self, budget: BudgetSettings, client: str) -> bool:
        """Whether nothing is known of what all have spent; it is asked for from now on."""
        row = self._book.spending.row(budget, client, self.now())
        return self._shared.use(row, time.monotonic())

    async def told(self) -> None:
        """Wait for what is unknown, 2 ms at most."""
        await self._exchange.soon()

    def left(self, budget: BudgetSettings, client: str) -> float:
        """Return what *client* may still spend in this period."""
        row = self._book.spending.row(budget, client, self.now())
        return self._shared.left(row, budget.amount, self.peers, answers=self.answers)

    def added(self, budget: BudgetSettings, client: str) -> float:
        """What *client* has spent is in the book. Return the sum of all."""
        row = self._book.spending.row(budget, client, self.now())
        self._shared.added(row)
        return self._book.spending.spent(row) + self._shared.others(row)

    def current(self, budget: BudgetSettings) -> dict[str, float]:
        """Return the sums of all in this period, by client, as far as they count here."""
        now = self.now()
        period = period_of(budget.per, now)
        sums = self._book.spending.current(budget, now)
        for row in self._shared.rows():
            if row[:2] == (budget.name, budget.unit) and row.period == period:
                others = self._shared.others(row)
                if others:
                    sums[row.client] = sums.get(row.client, 0.0) + others
        return sums

    # -- the exchange's party --

    def questions(self) -> list[Question]:
        """Tell our sums, and ask for those of all."""
        unix_now = self.now()
        for budget in self._budgets.values():
            if budget.shared:  # all calls count in it
                row = self._book.spending.row(budget, "", unix_now)
                self._shared.use(row, time.monotonic())
        rows = self._shared.to_ask(_MOST, time.monotonic(), unix_now)
        return [self._question(row, own, unix_now) for row, own in rows]

    def lost(self) -> None:
        """Tell everything again."""
        self._shared.lost()

    def ended(self) -> None:
        """Keep what the others have spent: it is known then when the sidecar starts again."""
        now = time.monotonic()
        if self._news and now - self._noted > _NOTED:
            self._book.note_others(self._news)
            self._news, self._noted = {}, now

    def _question(self, row: Row, own: float, unix_now: float) -> Question:
        budget = self._budgets.get(row.budget)
        left = 0.0
        if budget is not None and not is_over(row.period, unix_now):
            left = seconds_left(budget.per, unix_now)
        key = self._exchange.key("spent", *row)
        arguments = (self._name, f"{own:.17g}", round((left + _KEPT) * 1000))
        return Question(Run(_TELL, key, arguments), partial(self._told, row))

    def _told(self, row: Row, reply: Any) -> None:
        told = Sum(float(reply[0]), float(reply[1]))
        before = self._shared.others(row)
        self._shared.answered(row, told, time.monotonic())
        others, budget = self._shared.others(row), self._budgets.get(row.budget)
        if budget is not None and others != before:
            self._news[row] = Change(others, budget.amount)
