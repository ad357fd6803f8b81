"""The calls that ended last, kept in memory, with errors and slow ones kept longer.

The data plane's loop appends; other threads read at any time. A reader copies a ring in one step of
the interpreter, so that no lock is needed. A call is kept encoded: as one object, where its record
has dozens, which are in no cache any more when a thousand others have come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain, takewhile
from typing import Final, NamedTuple

import msgspec

from sidecar.observe.record import CallRecord

_OF: Final = 100
"""Of so many calls without an error that leave the latest, the slowest is kept."""
_EACH: Final = 120
"""Bytes that a kept call takes beside its encoding: headers of three objects, places in a ring."""
_BAD: Final = -1.0
"""Stands for the duration of a call that did not come to a good end."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(CallRecord).decode


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
        self._slowest: _Kept | None = None
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
        latest.add((_encode(record), _BAD if is_bad(record) else record.duration_ms))
        if latest.over:
            self._trim()

    def __iter__(self) -> Iterator[CallRecord]:
        """All that are kept, the latest to end first; safe on any thread."""
        # The latest first: a call that moves meanwhile is seen twice rather than never.
        latest = self._latest.copy()
        earlier = {id(each): each for ring in (self._errors, self._slow) for each in ring.copy()}
        for each in latest:
            earlier.pop(id(each), None)
        before = sorted(map(_record, earlier.values()), key=_end, reverse=True)
        return chain(map(_record, reversed(latest)), before)

    def latest(self) -> list[CallRecord]:
        """The latest alone, the last to end first; safe on any thread."""
        return self.since(None)[0]

    def since(self, mark: object) -> tuple[list[CallRecord], object]:
        """The latest that ended after *mark*, the last first, and the mark of now; None: all."""
        latest = self._latest.copy()
        new = takewhile(lambda kept: kept is not mark, reversed(latest))
        return list(map(_record, new)), latest[-1] if latest else mark

    @property
    def keeps(self) -> int:
        """How many of the latest are kept at most."""
        return self._latest.most

    def lost(self, mark: object) -> bool:
        """Whether calls that ended after *mark* may be gone: it is not among the latest."""
        return mark is not None and all(kept is not mark for kept in self._latest.copy())

    def __len__(self) -> int:
        return len(self._latest) + len(self._errors) + len(self._slow)

    def _trim(self) -> None:
        latest = self._latest
        while latest.over:
            left = latest.pop()
            if left[1] == _BAD:
                self._errors.push(left)
            else:
                self._consider(left)

    def _consider(self, left: _Kept) -> None:
        slowest = self._slowest
        if slowest is None or left[1] > slowest[1]:
            self._slowest = slowest = left
        self._seen += 1
        if self._seen == _OF:
            self._slow.push(slowest)
            self._slowest, self._seen = None, 0


_Kept = tuple[bytes, float]
"""A call's encoding, and its milliseconds or `_BAD`."""


def _record(kept: _Kept) -> CallRecord:
    return _decode(kept[0])


class _Ring:
    """The newest calls, at most so many, and so many bytes."""

    __slots__ = ("_calls", "_most_bytes", "_size", "most")

    def __init__(self) -> None:
        self._calls: deque[_Kept] = deque()
        self._size = 0
        self.most = self._most_bytes = 0

    def __repr__(self) -> str:
        return f"{len(self._calls)} of {self.most}, {self._size} bytes"

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def over(self) -> bool:
        """Whether it holds too much: then its user pops."""
        return len(self._calls) > self.most or self._size > self._most_bytes

    def resize(self, most: int, most_bytes: int) -> None:
        """Hold so many from now on."""
        self.most, self._most_bytes = most, most_bytes

    def add(self, call: _Kept) -> None:
        """Hold *call*."""
        self._calls.append(call)
        self._size += len(call[0]) + _EACH

    def push(self, call: _Kept) -> None:
        """Hold *call*, and let go of what is too much."""
        self.add(call)
        self.trim()

    def trim(self) -> None:
        """Let go of what is too much."""
        while self.over:
            self.pop()

    def pop(self) -> _Kept:
        """Let go of the oldest, and return it."""
        call = self._calls.popleft()
        self._size -= len(call[0]) + _EACH
        return call

    def copy(self) -> deque[_Kept]:
        """All, the oldest first."""
        return self._calls.copy()


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
