"""Chunked bodies: httptools reads the framing, this file bounds it and finds its end.

llhttp is strict about chunks, but it has no limit on extensions and trailers, and it does not stop
behind the last chunk: what follows in a read would be parsed as another message. So it is fed
pieces that end where the body may end.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, Protocol, cast

import httptools

from sidecar.http.fields import Header

_HEAD: Final = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
"""Brings llhttp to where a chunked body begins."""
_END: Final = b"\r\n\r\n"
_ALLOWANCE: Final = 16 * 1024
"""Bytes of chunk headers, extensions and trailers beyond 16 a chunk (as Go's net/http counts)."""
_NO_TRAILERS: Final = frozenset({b"connection", b"proxy-connection", b"transfer-encoding"})
"""RFC 9110, section 6.5.1. llhttp obeys them, and takes no further message after some."""


class BadChunks(Exception):
    """The framing is malformed, or carries too much besides data."""


class Sink(Protocol):
    """What takes the data."""

    def on_body(self, data: bytes) -> None:
        """Some of it."""


class Chunked:
    """One chunked body. `ended` tells that it is complete; then `trailers` are there."""

    def __init__(self, sink: Sink) -> None:
        self.ended = False
        self.trailers: list[Header] = []
        self.between_chunks = False
        """What comes next is a chunk's size line: what is a `plain_chunk` need not be fed."""
        self._sink = sink
        self._begun = False
        self._tail = b""
        self._excess = 0
        self._data = 0
        self._chunks = 0
        self._chunk_ended = True
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(_HEAD)
        self._begun = True

    def feed(self, data: bytes, at: int) -> int:
        """Take *data* from *at* to the end of the body; the position behind what was taken.

        Raise BadChunks. What the sink raises passes through.
        """
        while at < len(data) and not self.ended:
            end = self._may_end(data, at)
            self._feed_piece(data[at:end])
            at = end
        # Behind a chunk, unless some of the next one's size line came too.
        self.between_chunks = self._chunk_ended and not self.ended and data[-2:] == b"\r\n"
        return at

    def close(self) -> None:
        """Let go of llhttp's parser, which refers back to this."""
        self._parser = self._sink = cast("Any", None)

    def _may_end(self, data: bytes, at: int) -> int:
        """A position in *data* that the end of the body does not come before: an empty line."""
        tail, self._tail = self._tail, b""
        if tail and (found := (tail + data[at : at + 3]).find(_END)) >= 0:
            return at + found + 4 - len(tail)
        if (found := data.find(_END, at)) >= 0:
            return found + 4
        self._tail = (tail + data[max(at, len(data) - 3) :])[-3:]
        return len(data)

    def _feed_piece(self, piece: bytes) -> None:
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from None
        except httptools.HttpParserError as error:
            raise BadChunks(f"malformed chunks: {error}") from None
        excess = self._excess + len(piece) - self._data - 16 * self._chunks
        self._excess = max(0, excess)
        self._data = self._chunks = 0
        if excess > _ALLOWANCE:
            raise BadChunks("chunked framing carries too much besides data")

    # -- httptools' callbacks --

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a trailer."""
        if self._begun:
            low = name.lower()
            if low in _NO_TRAILERS:
                raise BadChunks(f"a trailer is named {name.decode('ascii')}")
            self.trailers.append((low, name, value.rstrip(b" \t")))

    def on_body(self, data: bytes) -> None:
        """Deliver some of the data."""
        self._data += len(data)
        self._chunks += 1
        self._sink.on_body(data)

    def on_chunk_header(self) -> None:
        """A chunk's size line was read."""
        self._chunk_ended = False

    def on_chunk_complete(self) -> None:
        """A chunk was read to its end."""
        self._chunk_ended = True

    def on_message_complete(self) -> None:
        """The body is complete."""
        self.ended = True


@lru_cache(2048)
def plain_chunk(length: int) -> tuple[tuple[bytes, ...], int]:
    """How a chunk of *length* bytes, framing and all, may begin, and how much data is in it.

    That is RFC 9112, section 7.1, with no more digits than needed and no extension; it ends with
    CR LF. There is no way to begin one that has less than three bytes of data.
    """
    for digits in range(1, 9):
        size = length - digits - 4
        if size > 2 and len(line := b"%x\r\n" % size) == digits + 2:
            return (line, line.upper()), size
    return (), 0
