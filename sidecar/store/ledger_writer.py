"""The thread that writes the ledger of budgets."""

from __future__ import annotations

import logging
import queue
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from threading import Thread
from typing import Final, NamedTuple

from sidecar.policy.spending import Change, Row
from sidecar.store.journal import NOTHING, Marks, remove
from sidecar.store.ledger import Ledger

_log: Final = logging.getLogger("sidecar.budgets")
_TICK: Final = 1.0
"""Seconds after which the sums of other processes are looked at."""
_CLEAN: Final = 3600.0
"""Seconds after which old sums are deleted."""


class _Batch(NamedTuple):
    changes: Mapping[Row, Change]
    marks: Marks | None
    """None: what others have spent."""


Tell = Callable[[bool, Mapping[Row, float]], None]
"""Takes whether the batch is in the ledger, and the sums that have changed."""


class Writer:
    """A thread that writes one batch after another, and looks every second for others' sums."""

    def __init__(self, path: str, tell: Tell, looked: Callable[[Mapping[Row, float]], None]):
        """*tell* and *looked* are called on the thread, *looked* also if there is no news."""
        self._path = path
        self._tell = tell
        self._looked = looked
        self._batches: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._ledger: Ledger | None = None
        self._failed = False
        self._cleaned = 0.0
        self.errors = 0
        """How often the file could not be used."""
        self._thread = Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    def write(self, batch: Mapping[Row, Change], marks: Marks = NOTHING) -> None:
        """Write *batch* next, with what journals have of it. Never waits."""
        self._batches.put(_Batch(batch, marks))

    def note_others(self, spent: Mapping[Row, Change]) -> None:
        """Keep what other ledgers have spent, if the file can be written. Never waits."""
        self._batches.put(_Batch(spent, None))

    def stop(self, within: float) -> None:
        """Write what is queued and end, waiting so many seconds at most."""
        self._batches.put(None)
        self._thread.join(within)

    def _run(self) -> None:
        while True:
            try:
                batch = self._batches.get(timeout=_TICK)
            except queue.Empty:
                self._looked(self._try({}, NOTHING)[1])
                continue
            if batch is None:
                break
            if batch.marks is None:
                with suppress(sqlite3.Error):
                    if self._ledger is not None:
                        self._ledger.note_others(batch.changes)
            else:
                self._tell(*self._try(batch.changes, batch.marks))
        if self._ledger is not None:
            self._ledger.close()

    def _try(self, batch: Mapping[Row, Change], marks: Marks) -> tuple[bool, Mapping[Row, float]]:
        """Write *batch* and read what is new. Return whether it is written, and the news."""
        written = False
        try:
            if self._ledger is None:
                self._ledger = Ledger(self._path)
                self._ledger.recover()
            if batch:
                self._ledger.add(batch, marks)
            written = True
            remove(self._path, marks.done)
            if time.monotonic() - self._cleaned > _CLEAN:
                self._ledger.clean(datetime.now(UTC))
                self._cleaned = time.monotonic()
            news = self._ledger.news()
        except (OSError, sqlite3.Error) as error:
            self.errors += 1
            if not self._failed:
                self._failed = True
                _log.error("the ledger can't be written: budgets go on in memory: %s", error)
            return written, {}
        if self._failed:
            self._failed = False
            _log.warning("the ledger can be written again")
        return True, news
