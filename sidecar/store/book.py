"""Keeps the sums of budgets in memory and in their ledger, for the data plane's loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Final

from sidecar.policy.spending import BudgetSettings, Change, Row, Spending
from sidecar.store.journal import NOTHING, Journal, remove
from sidecar.store.ledger import read
from sidecar.store.ledger_writer import Writer

_LAST: Final = 1.5
"""Seconds that the last batch gets when budgets end."""


class Book:
    """The sums of the ledger at *path*. A call reads and adds in memory, and never waits.

    What calls spend is written down in a journal, for the case of a kill, and handed to the
    ledger's thread: at once if it is idle, else with its next batch. Raises OSError.
    """

    def __init__(self, path: str, most: int) -> None:
        self.spending = Spending(read(path), most)
        self._path = path
        self._journal = Journal(path)
        self._marks = NOTHING
        """Of the batch that is being written."""
        self._writer: Writer | None = None
        self._retired = False
        self._errors = 0
        self._written = asyncio.Event()
        """Set when all is in the ledger."""
        self._ending: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Book of {len(self.spending)} sums>"

    @property
    def errors(self) -> int:
        """How often the ledger could not be used."""
        errors = self._errors + self._journal.errors
        return errors + (0 if self._writer is None else self._writer.errors)

    def spent(self, budget: BudgetSettings, client: str, unix_now: float) -> float:
        """Return what *client* has spent of *budget* in this period."""
        if self._writer is None:  # from the first call on: others may be spending too
            self._begin()
        return self.spending.spent(self.spending.row(budget, client, unix_now))

    def add(self, budget: BudgetSettings, client: str, spent: float, unix_now: float) -> float:
        """Add what a call has spent. Return the sum of its period."""
        row = self.spending.row(budget, client, unix_now)
        self.spending.add(row, spent, budget.amount)
        self._journal.add(row, Change(spent, budget.amount))
        self._hand_over()
        return self.spending.spent(row)

    def note_others(self, spent: Mapping[Row, Change]) -> None:
        """Keep in the ledger what other ledgers have spent, while it is written at all."""
        if self._writer is not None:
            self._writer.note_others(spent)

    def retire(self) -> asyncio.Future[None]:
        """Write what is left, and end the thread. Calls that end later are still written.

        What is returned is done when the thread has ended.
        """
        self._retired = True
        self._hand_over()
        return self._finish()

    def _begin(self) -> Writer:
        loop = asyncio.get_running_loop()
        self._writer = Writer(
            self._path,
            lambda written, news: _tell(loop, partial(self._told, written, news)),
            lambda news: _tell(loop, partial(self._looked, news)),
        )
        return self._writer

    def _finish(self) -> asyncio.Future[None]:
        if self._ending is None or self._ending.done():
            self._ending = asyncio.ensure_future(self._end())
        return self._ending

    async def _end(self) -> None:
        if self.spending.unwritten:
            self._written.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST):
                    await self._written.wait()
        writer, self._writer = self._writer, None
        if writer is not None:
            self._errors += writer.errors
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, writer.stop, _LAST)
        if not self.spending.unwritten:
            self._journal.close()
            marks = self._journal.marks()
            self._journal.written(marks)
            remove(self._path, marks.done)

    def _hand_over(self) -> None:
        batch = self.spending.begin_writing()
        if batch:
            self._marks = self._journal.marks()
            (self._writer or self._begin()).write(batch, self._marks)

    def _told(self, written: bool, news: Mapping[Row, float]) -> None:
        if not written:
            self.spending.not_written()  # with the next look
            return
        self.spending.wrote(news)
        self._journal.written(self._marks)
        self._hand_over()
        if not self.spending.unwritten:
            self._written.set()
        if self._retired:
            self._finish()

    def _looked(self, news: Mapping[Row, float]) -> None:
        self.spending.read(news)
        self.spending.forget(time.time())
        self._hand_over()


def _tell(loop: asyncio.AbstractEventLoop, told: partial[None]) -> None:
    with suppress(RuntimeError):  # the loop is closed: the process ends
        loop.call_soon_threadsafe(told)
