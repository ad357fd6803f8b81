"""What calls have spent, written down at once: what a ledger's batches would lose with a kill.

A journal is a file beside the ledger that one process appends to, a line for each change. What is
written stays when the process is killed, as the kernel has it then; a power cut may take it. Each
batch tells the ledger, in its transaction, how much of the journal is in it. So a line counts once,
whoever reads the journal of a process that is gone.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import stat
import time
from collections.abc import Container, Generator, Mapping
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec

from sidecar.policy.spending import Change, Row, Unit

_log: Final = logging.getLogger("sidecar.budgets")
MOST: Final = 2**18
"""Bytes of a journal after which another is begun."""
_MOST_UNWRITTEN: Final = 16
"""Journals that wait for the ledger. Beyond them, what is spent is in memory only."""
_AGAIN: Final = 10.0
"""Seconds after which a journal that could not be written is tried again."""
_MARK: Final = "-journal-"
_LONGEST: Final = 2 * MOST
"""More bytes than any journal has."""
_Sum = Annotated[float, msgspec.Meta(ge=0, le=1e15)]
_Period = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d(-\d\d(T\d\d)?)?$")]
_decode: Final = msgspec.json.Decoder(tuple[str, Unit, str, _Period, _Sum, _Sum]).decode


class Marks(NamedTuple):
    """How much of its journals a process has put into a batch."""

    upto: Mapping[str, int]
    """Bytes, by the file's name."""
    done: Mapping[str, int]
    """Descriptors of those to which nothing is added any more."""


NOTHING: Final = Marks({}, {})


class Journal:
    """The journals of this process for the ledger *path*. For one thread."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd: int | None = None
        self._name = ""
        self._size = 0
        self._done: dict[str, tuple[int, int]] = {}
        """Sizes and descriptors of the journals that are full and not in the ledger yet."""
        self._failed = -_AGAIN
        self.errors = 0
        """How often a journal could not be written."""

    def __repr__(self) -> str:
        return f"<Journal {self._name}, {self._size} bytes>"

    def add(self, row: Row, change: Change) -> None:
        """Write down what is spent. It takes microseconds: nothing waits for the disk."""
        if self._fd is None and not self._begin():
            return
        assert self._fd is not None
        line = msgspec.json.encode((*row, *change)) + b"\n"
        try:
            written = os.write(self._fd, line)
            if written < len(line):
                raise OSError(0, "the disk is full")
        except OSError as error:
            self._fail(error)
            self._end()
            return
        self._size += len(line)
        if self._size > MOST:
            self._end()

    def marks(self) -> Marks:
        """Tell how much is written down by now."""
        upto = {name: size for name, (size, _) in self._done.items()}
        if self._fd is not None:
            upto[self._name] = self._size
        return Marks(upto, {name: fd for name, (_, fd) in self._done.items()})

    def written(self, marks: Marks) -> None:
        """All up to *marks* is in the ledger, and the files that are done are gone."""
        for name in marks.done:
            self._done.pop(name, None)

    def close(self) -> None:
        """Begin another one with what is added next."""
        if self._fd is not None:
            self._end()

    def _begin(self) -> bool:
        if len(self._done) >= _MOST_UNWRITTEN or time.monotonic() - self._failed < _AGAIN:
            return False
        try:
            self._name, self._fd = _made(self._path)
        except OSError as error:
            self._fail(error)
            return False
        self._size = 0
        return True

    def _end(self) -> None:
        assert self._fd is not None
        # It stays open, and so locked, until the ledger has all of it: others leave it alone.
        self._done[self._name] = self._size, self._fd
        self._fd = None

    def _fail(self, error: OSError) -> None:
        self.errors += 1
        self._failed = time.monotonic()
        _log.error(
            "the journal of %s can't be written: a kill may lose what is not in the ledger: %s",
            self._path,
            error.strerror,
        )


def _made(path: str) -> tuple[str, int]:
    """Make a new journal beside *path* and hold its lock. Return its name and descriptor."""
    while True:
        file = f"{path}{_MARK}{secrets.token_hex(8)}"
        fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        fcntl.flock(fd, fcntl.LOCK_EX)
        # Another process may have taken it for that of one that is gone, before it was locked.
        if os.fstat(fd).st_nlink:
            return Path(file).name, fd
        os.close(fd)


def remove(path: str, done: Mapping[str, int]) -> None:
    """Delete journals of this process, all of which is in the ledger *path*, and close them."""
    for name, fd in done.items():
        Path(path).with_name(name).unlink(missing_ok=True)
        os.close(fd)


def of_the_dead(path: str) -> Generator[tuple[str, bytes]]:
    """Yield what journals of processes that are gone say, with their names, one by one.

    Each is deleted when the next one is asked for. Files that only have such a name are told of and
    left alone.
    """
    ledger = Path(path)
    owners = {0, os.geteuid(), ledger.stat().st_uid}
    for name in sorted(os.listdir(ledger.parent)):
        if not name.startswith(f"{ledger.name}{_MARK}"):
            continue
        file = ledger.with_name(name)
        try:
            fd = _opened(file, owners)
        except FileNotFoundError:  # another process has just read it
            continue
        except OSError as error:
            _log.warning("%s is not read: %s", file, error.strerror)
            continue
        try:
            if _is_free(fd):
                yield name, _read(fd)
                file.unlink(missing_ok=True)
        finally:
            os.close(fd)


def _opened(file: Path, owners: Container[int]) -> int:
    """Open a journal. Raise OSError for what can't be one: whoever may write in a folder like /tmp
    must neither stop a start (a FIFO), nor fill the memory, nor say what was spent."""
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    found = os.fstat(fd)
    wrong = ""
    if not stat.S_ISREG(found.st_mode):
        wrong = "it is no regular file"
    elif found.st_uid not in owners:
        wrong = "it is another user's"
    elif found.st_size > _LONGEST:
        wrong = "it is longer than a journal"
    if wrong:
        os.close(fd)
        raise OSError(0, wrong)
    return fd


def _read(fd: int) -> bytes:
    with os.fdopen(fd, "rb", closefd=False) as file:
        return file.read(_LONGEST)


def _is_free(fd: int) -> bool:
    """Take the lock if the process that held it is gone, and nobody has read the journal since."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(fd).st_nlink > 0


def changes(said: bytes, since: int) -> dict[Row, Change]:
    """Return what a journal says from the byte *since* on, without lines that nobody has written
    so: the last one may be cut off."""
    sums: dict[Row, Change] = {}
    for line in said[since:].splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        try:
            told = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        row = Row(*told[:4])
        before = sums.get(row)
        sums[row] = Change(told[4] + (before.spent if before else 0.0), told[5])
    return sums
