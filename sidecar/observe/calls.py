"""The calls that ended last, kept in memory, with errors and slow ones kept longer.

The data plane's loop appends; other threads read at any time. A reader copies a ring in one step
of the interpreter, so that no lock is needed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Final, NamedTuple

from sidecar.observe.record import CallRecord, size_of

_OF: Final = 100
"""Of so many calls without an error that leave the latest, the slowest is kept."""


class CallsSettings(NamedTuple):
    """How many calls of each kind are kept."""

    keep: int
    """The latest."""
    errors: int
    slow: int
    bytes: int
    """What all may take: half of it the latest, a quarter each the errors and the slow ones."""


class Calls:
    """A record is among the latest first; when it leaves, it may be kept as an error or slow."""

    def __init__(self, settings: CallsSettings) -> None:
        self._slowest: CallRecord | None = None
        """Of the calls that left since the last one was kept as slow."""
        self._seen = 0
        self._latest = _Ring()
        self._errors = _Ring()
        self._slow = _Ring()
        self.configure(settings)

    def __repr__(self) -> str:
        return f"<Calls {self._latest!r}, errors {self._errors!r}, slow {self._slow!r}>"

    def configure(self, settings: CallsSettings) -> None:
        """Keep so many from now on."""
        self._latest.resize(settings.keep, settings.bytes // 2)
        self._errors.resize(settings.errors, settings.bytes // 4)
        self._slow.resize(settings.slow, settings.bytes // 4)
        self._trim()
        self._errors.trim()
        self._slow.trim()

    def append(self, record: CallRecord) -> None:
        """Keep *record*, and let go of what is too much for the bounds."""
        latest = self._latest
        latest.add(record, size_of(record))
        if latest.over:
            self._trim()

    def __iter__(self) -> Iterator[CallRecord]:
        """All that are kept, the latest to end first; safe on any thread."""
        # The latest first: a record that moves meanwhile is seen twice rather than never.
        latest = self._latest.copy()
        earlier = {id(each): each for ring in (self._errors, self._slow) for each in ring.copy()}
        for each in latest:
            earlier.pop(id(each), None)
        return chain(reversed(latest), sorted(earlier.values(), key=_end, reverse=True))

    def latest(self) -> list[CallRecord]:
        """The latest alone, the last to end first; safe on any thread."""
        return list(reversed(self._latest.copy()))

    def __len__(self) -> int:
        return len(self._latest) + len(self._errors) + len(self._slow)

    def _trim(self) -> None:
        latest = self._latest
        while latest.over:
            left, size = latest.pop()
            if is_bad(left):
                self._errors.push(left, size)
            else:
                self._consider(left)

    def _consider(self, left: CallRecord) -> None:
        slowest = self._slowest
        if slowest is None or left.duration_ms > slowest.duration_ms:
            self._slowest = slowest = left
        self._seen += 1
        if self._seen == _OF:
            self._slow.push(slowest, size_of(slowest))
            self._slowest, self._seen = None, 0


class _Ring:
    """The newest records, at most so many, and so many bytes."""

    __slots__ = ("_most", "_most_bytes", "_records", "_size", "_sizes", "over")

    def __init__(self) -> None:
        self._records: deque[CallRecord] = deque()
        self._sizes: deque[int] = deque()
        self._size = 0
        self._most = self._most_bytes = 0
        self.over = False
        """Whether it holds too much: then its user pops."""

    def __repr__(self) -> str:
        return f"{len(self._records)} of {self._most}, {self._size} bytes"

    def __len__(self) -> int:
        return len(self._records)

    def resize(self, most: int, most_bytes: int) -> None:
        """Hold so many from now on."""
        self._most, self._most_bytes = most, most_bytes
        self.over = len(self._records) > most or self._size > most_bytes

    def add(self, record: CallRecord, size: int) -> None:
        """Hold *record*, which takes *size* bytes."""
        self._records.append(record)
        self._sizes.append(size)
        self._size += size
        self.over = len(self._records) > self._most or self._size > self._most_bytes

    def push(self, record: CallRecord, size: int) -> None:
        """Hold *record*, and let go of what is too much."""
        self.add(record, size)
        self.trim()

    def trim(self) -> None:
        """Let go of what is too much."""
        while self.over:
            self.pop()

    def pop(self) -> tuple[CallRecord, int]:
        """Let go of the oldest; return it and its size."""
        record, size = self._records.popleft(), self._sizes.popleft()
        self._size -= size
        self.over = len(self._records) > self._most or self._size > self._most_bytes
        return record, size

    def copy(self) -> deque[CallRecord]:
        """All, the oldest first."""
        return self._records.copy()


def is_bad(record: CallRecord) -> bool:
    """Whether the call did not come to a good end, as far as we know."""
    return (
        record.status >= 400
        or record.status == 0
        or record.error != ""
        or record.verdict not in ("", "complete")
    )


def _end(record: CallRecord) -> float:
    return record.time + record.duration_ms / 1000
