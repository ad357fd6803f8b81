"""The ledger of budgets: a SQLite file that any number of processes add to.

Each batch is one transaction that adds to sums, so that it is in the file once or not at all. The
write-ahead log with `synchronous=NORMAL` survives the end of a process at any moment; a power cut
may lose the last batches, but never makes the file unreadable (SQLite, "Write-Ahead Logging").
What is not in a batch yet when a process is killed is in its journal (`sidecar.store.journal`).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from sidecar.policy.spending import Change, Row
from sidecar.store.journal import NOTHING, Marks, changes, of_the_dead

KEPT: Final = timedelta(days=400)
"""How long sums stay in the file."""
_BUSY: Final = 5.0
"""Seconds that a batch waits for another process."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS spent (
  budget TEXT NOT NULL, unit TEXT NOT NULL, client TEXT NOT NULL, period TEXT NOT NULL,
  spent REAL NOT NULL, amount REAL NOT NULL, version INTEGER NOT NULL,
  PRIMARY KEY (budget, unit, client, period)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS spent_version ON spent (version);
CREATE TABLE IF NOT EXISTS version (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER);
INSERT OR IGNORE INTO version VALUES (1, 0);
CREATE TABLE IF NOT EXISTS identity (id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL);
INSERT OR IGNORE INTO identity VALUES (1, lower(hex(randomblob(16))));
CREATE TABLE IF NOT EXISTS journals (name TEXT PRIMARY KEY, upto INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS others (
  budget TEXT NOT NULL, unit TEXT NOT NULL, client TEXT NOT NULL, period TEXT NOT NULL,
  spent REAL NOT NULL, amount REAL NOT NULL, PRIMARY KEY (budget, unit, client, period)
) WITHOUT ROWID;
"""
_ADD: Final = """
INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?, (SELECT version FROM version))
ON CONFLICT DO UPDATE SET
  spent = spent + excluded.spent, amount = excluded.amount, version = excluded.version
"""
_NEW: Final = "SELECT budget, unit, client, period, spent, version FROM spent WHERE version > ?"


_OTHERS: Final = """
INSERT INTO others VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET spent = excluded.spent, amount = excluded.amount
"""
_UPTO: Final = "INSERT INTO journals VALUES (?, ?) ON CONFLICT DO UPDATE SET upto = excluded.upto"
_HAS: Final = "SELECT upto FROM journals WHERE name = ?"
_SUMS: Final = """
SELECT budget, unit, client, period, s.spent, s.amount, o.spent
FROM spent s LEFT JOIN others o USING (budget, unit, client, period)
UNION ALL
SELECT budget, unit, client, period, 0, amount, spent FROM others
WHERE (budget, unit, client, period) NOT IN (SELECT budget, unit, client, period FROM spent)
ORDER BY period, budget, client
"""


class Sum(NamedTuple):
    """One line of the ledger."""

    row: Row
    spent: float
    amount: float
    others: float | None
    """What the other ledgers had spent when that was last told; None: it is not shared."""


class Ledger:
    """A connection to the file *path*; for one thread. Raises OSError if it can't be opened."""

    def __init__(self, path: str) -> None:
        try:
            self._turn = os.open(f"{path}-turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._db = sqlite3.connect(path, timeout=_BUSY, isolation_level=None)
        except OSError as error:
            raise OSError(0, f"cannot open the ledger {path}: {error.strerror}") from None
        except sqlite3.Error as error:
            os.close(self._turn)
            raise OSError(0, f"cannot open the ledger {path}: {error}") from None
        # One at a time: opening may begin the write-ahead log, or mend it after a kill.
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        except sqlite3.Error as error:
            self.close()
            raise OSError(0, f"cannot open the ledger {path}: {error}") from None
        fcntl.flock(self._turn, fcntl.LOCK_UN)
        self._version = 0
        self._path = path

    def close(self) -> None:
        """Close it."""
        self._db.close()
        os.close(self._turn)

    def news(self) -> dict[Row, float]:
        """Return the sums that have changed since this was last asked; at first, all."""
        totals = {}
        for budget, unit, client, period, spent, version in self._db.execute(
            _NEW, (self._version,)
        ).fetchall():
            totals[Row(budget, unit, client, period)] = spent
            self._version = max(self._version, version)
        return totals

    def add(self, batch: Mapping[Row, Change], marks: Marks = NOTHING) -> None:
        """Add *batch* to the sums, all of it or nothing. Raise sqlite3.Error for nothing.

        *marks*: how much of which journals is in the batch, and in those before.
        """
        with self._transaction() as db:
            db.execute("UPDATE version SET version = version + 1")
            db.executemany(_ADD, [(*row, *change) for row, change in batch.items()])
            db.executemany(_UPTO, marks.upto.items())

    def recover(self) -> None:
        """Add what processes that are gone have written down in their journals only."""
        with closing(of_the_dead(self._path)) as journals:
            for name, said in journals:
                upto = self._db.execute(_HAS, (name,)).fetchone() or (0,)
                self.add(changes(said, *upto), Marks({name: len(said)}, {}))

    def note_others(self, spent: Mapping[Row, Change]) -> None:
        """Keep what other ledgers have spent. Raise sqlite3.Error for nothing."""
        with self._transaction() as db:
            db.executemany(_OTHERS, [(*row, *change) for row, change in spent.items()])

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        # SQLite would look again after 1 to 100 ms while another process writes. A lock of the
        # kernel wakes us at once.
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def clean(self, now: datetime) -> None:
        """Delete sums that are older than KEPT, and marks of journals that are gone."""
        oldest = (now - KEPT).isoformat()[:7]
        for table in ("spent", "others"):
            self._db.execute(f"DELETE FROM {table} WHERE period < ?", (oldest,))  # noqa: S608
        # Names first: a journal is there before its first mark is.
        names = self._db.execute("SELECT name FROM journals").fetchall()
        gone = [name for name in names if not Path(self._path).with_name(*name).exists()]
        self._db.executemany("DELETE FROM journals WHERE name = ?", gone)

    def sums(self) -> list[Sum]:
        """Return all lines, by period, budget and client."""
        return [Sum(Row(*line[:4]), *line[4:]) for line in self._db.execute(_SUMS)]

    def identity(self) -> str:
        """Return the name that this ledger has among others."""
        name: str = self._db.execute("SELECT name FROM identity").fetchone()[0]
        return name


def read(path: str) -> dict[Row, float]:
    """Return all sums of the file, which is made if it is not there. Raise OSError if it can't."""
    with closing(Ledger(path)) as ledger:
        try:
            ledger.recover()
        except sqlite3.Error as error:
            raise OSError(0, f"cannot read the journals of {path}: {error}") from None
        return ledger.news()


def read_shared(path: str) -> tuple[str, dict[Row, float]]:
    """Return the ledger's name, and what the others had spent. Raise OSError if it can't be."""
    with closing(Ledger(path)) as ledger:
        return ledger.identity(), {
            each.row: each.others for each in ledger.sums() if each.others is not None
        }
