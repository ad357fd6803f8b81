"""A reply that is kept, and its replay."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import msgspec

from sidecar.http.fields import Fields
from sidecar.http.headers import REPLY_FIELDS, response_lines
from sidecar.http.message import CHUNKED, ResponseHead
from sidecar.llm.usage import Usage
from sidecar.proxy.local import LocalReply

if TYPE_CHECKING:
    from sidecar.proxy.call import Call
    from sidecar.proxy.sink import Sink

_OBJECTS: Final = 700
"""Bytes that an entry takes besides its texts: measured, with its place in the memory."""
_PIECE: Final = 70
"""Bytes that a piece takes besides its text."""
_DROPPED: Final = frozenset({b"age", b"content-length", b"set-cookie", b"x-request-id"})
_TOLD_ONCE: Final = (b"x-ratelimit-", b"anthropic-ratelimit-", b"retry-after", b"x-trace-")
"""What names begin with that say how things were: a client would slow down for past limits."""


class StoredReply(msgspec.Struct, array_like=True):
    """All that is needed to give a reply again."""

    status: int
    reason: bytes
    lines: bytes
    """Header lines, each after a CRLF, without framing and ids."""
    stream: bool
    pieces: list[bytes]
    """The body: of a stream as it came, else in one piece."""
    times: list[int]
    """Milliseconds from a stream's head to each piece."""
    stored: float
    """Unix seconds when it was complete."""
    life: float
    """Seconds for which it is fresh."""
    route: str
    model: str = ""
    """The model that was asked."""
    answered: str = ""
    """The model that answered."""
    operation: str = ""
    usage: Usage | None = None

    @property
    def size(self) -> int:
        """Bytes of memory that it takes."""
        texts = len(self.lines) + len(self.route) + len(self.model)
        return _OBJECTS + texts + sum(map(len, self.pieces)) + _PIECE * len(self.pieces)


def lines_to_keep(head: ResponseHead) -> bytes:
    """Return the lines of *head* that are as true for the next caller."""
    fields = Fields(response_lines(head), REPLY_FIELDS)
    once = {name for name in fields if name.startswith(_TOLD_ONCE)}
    return fields.without(_DROPPED | once)


def replay(call: Call, stored: StoredReply, age: float, *, paced: bool) -> LocalReply:
    """Return *stored* as a reply to *call*. *paced*: a stream comes as slowly as it did."""
    lines = stored.lines + b"\r\nAge: %d" % max(0, age)
    if not stored.stream:
        reply = LocalReply(call, stored.status, lines, stored.pieces[0] if stored.pieces else b"")
    elif paced:
        reply = _PacedReply(call, stored, lines)
    else:
        reply = _StreamReply(call, stored, lines)
    reply.head.reason = stored.reason
    reply.head.replayed = True
    return reply


class _StreamReply(LocalReply):
    """A whole stream at once."""

    def __init__(self, call: Call, stored: StoredReply, lines: bytes) -> None:
        super().__init__(call, stored.status, b"", b"")
        self.head.body = CHUNKED
        self.head.fields = Fields(lines, REPLY_FIELDS)
        self._stored = stored

    def write_into(self, sink: Sink) -> None:
        """Write all of it."""
        self.passed = sum(map(len, self._stored.pieces))
        sink.begin(self.head, self._stored.pieces, True, ())


class _PacedReply(_StreamReply):
    """A stream piece by piece, in the task of its call."""

    ended = settled = False

    def write_into(self, sink: Sink) -> None:
        """Write the head; `finish` writes the rest."""
        self._began = time.monotonic()
        self._sink = sink
        self._room = asyncio.Event()
        self._room.set()
        sink.begin(self.head, [], False, ())
        sink.feeder = self

    def on_sink_writable(self, writable: bool) -> None:
        """Go on if there is room."""
        if writable:
            self._room.set()
        else:
            self._room.clear()

    async def finish(self) -> None:
        """Write each piece when its time has come."""
        sink, stored = self._sink, self._stored
        try:
            for piece, offset in zip(stored.pieces, stored.times, strict=True):
                left = self._began + offset / 1e3 - time.monotonic()
                if left > 0:
                    await asyncio.sleep(left)
                await self._room.wait()
                self.passed += len(piece)
                sink.write([piece], False, ())
            sink.write([], True, ())
            self.ended = True
        finally:
            sink.feeder = None
            self.settled = True
