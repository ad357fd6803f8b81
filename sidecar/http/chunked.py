"""Chunked bodies (RFC 9112, section 7.1): their framing read, checked and bounded.

The parser never looks at a chunk's data, only at its end, so that no data takes longer to read
than other data. Size lines are strict: no white space, no bare LF, no sign, 16 digits at most.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, Protocol, cast

from sidecar.http.fields import Header, headers_in, valid
from sidecar.http.head import bare_lf

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_QUOTED: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_SIZE_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,16}+)(?:;%b(?:=(?:%b|%b))?)*\r\n" % (_TOKEN, _TOKEN, _QUOTED)
).match
_BEGINNING: Final = re.compile(rb"(?:[0-9A-Fa-f]{1,16}+(?:;[^\r\n]*+)?\r?+)?").fullmatch
"""The beginning of a size line."""
_LARGE: Final = 4096
"""Bytes. Smaller pieces are joined: delivering each would take longer than the copy."""
_SHORT: Final = 32
"""Bytes of an unfinished size line that are checked: an extension may be long."""
_END: Final = b"\r\n\r\n"
_ALLOWANCE: Final = 16 * 1024
"""Bytes of size lines, extensions and trailers beyond 16 a chunk (as Go's net/http counts)."""
_NO_TRAILERS: Final = frozenset(
    {b"connection", b"content-length", b"proxy-connection", b"transfer-encoding"}
)
"""RFC 9110, section 6.5.1: they would change the framing for a reader that merges trailers."""


class BadChunks(Exception):
    """The framing is malformed, or has too many bytes besides the data."""


class Sink(Protocol):
    """Consumes the data."""

    def on_body(self, data: bytes) -> None:
        """Take more *data*."""


class Chunked:
    """One chunked body. `ended`: it is complete, and `trailers` are set."""

    def __init__(self, sink: Sink) -> None:
        self.ended = False
        self.trailers: list[Header] = []
        self._sink = sink
        self._left = 0
        """Bytes of the chunk's data that are still missing."""
        self._open = False
        """Whether a chunk has begun and the CR LF after its data is missing."""
        self._last = False
        """Whether the last chunk's size line was read; trailers follow."""
        self._held = bytearray()
        """An incomplete size line, a chunk's CR LF, or trailers."""
        self._excess = 0

    @property
    def between_chunks(self) -> bool:
        """Whether a chunk's size line is next, so that a `plain_chunk` need not be fed."""
        return not (self._open or self._held or self._last)

    def feed(self, data: bytes, at: int) -> int:
        """Read *data* from *at* to the end of the body; return the position after it.

        Raise BadChunks, and what the sink raises.
        """
        held, shift = self._held, 0
        if held:
            before = len(held)
            held += data[at:]
            if not self._goes_on(before):
                self._bound(0, len(held))
                return len(data)
            data, at, shift = bytes(held), 0, at - before
            self._held = bytearray()
        found: list[bytes] = []
        try:
            end = self._read(data, at, found)
        finally:
            size = sum(map(len, found))
            if size < _LARGE * len(found) and len(found) > 1:
                self._sink.on_body(b"".join(found))
            else:
                for part in found:
                    self._sink.on_body(part)
        unread = 0 if self.ended else len(data) - end
        self._bound(end - at - size - 16 * len(found), unread)
        if unread:
            self._held += data[end:]
        return end + unread + shift

    def close(self) -> None:
        """Drop the sink, which refers back to this object."""
        self._sink = cast("Any", None)

    def _goes_on(self, before: int) -> bool:
        """Whether the buffered bytes can be read now; the first *before* alone could not.

        Only new bytes are searched, so that input byte by byte is not read again and again.
        """
        held = self._held
        if self._last:
            if held.startswith(b"\r\n") or held.find(_END, max(0, before - 3)) >= 0:
                return True
            if bare_lf(held, before):
                raise BadChunks("malformed chunks: a trailer ends without CR")
            return False
        if not self._open and held.find(b"\n", before) < 0:
            if len(held) < _SHORT and _BEGINNING(held) is None:
                raise BadChunks("malformed chunks: a chunk-size line is invalid")
            return False
        return True

    def _bound(self, excess: int, unread: int) -> None:
        """Count *excess* bytes of framing, and *unread* buffered ones."""
        self._excess = max(0, self._excess + excess)
        if self._excess > _ALLOWANCE or unread > _ALLOWANCE:
            raise BadChunks("the chunked framing has too many bytes besides the data")

    def _read(self, data: bytes, at: int, found: list[bytes]) -> int:
        """Read what is complete, add the data to *found*, and return the position after it."""
        left, within = self._left, self._open
        while not self._last:
            if left:
                part = data[at : at + left]
                if part:
                    found.append(part)
                    at += len(part)
                    left -= len(part)
                if left:
                    break
            if within:
                ends = data[at : at + 2]
                if ends != b"\r\n":
                    if ends not in (b"", b"\r"):
                        raise BadChunks("malformed chunks: no CR LF behind a chunk's data")
                    break
                at += 2
                within = False
            line = _SIZE_LINE(data, at)
            if line is None:
                if _BEGINNING(data, at) is None:
                    raise BadChunks("malformed chunks: a chunk-size line is invalid")
                break
            at = line.end()
            left = int(line[1], 16)
            within = left > 0
            self._last = not within
        self._left, self._open = left, within
        return self._read_trailers(data, at) if self._last else at

    def _read_trailers(self, data: bytes, at: int) -> int:
        if data.startswith(b"\r\n", at):
            self.ended = True
            return at + 2
        end = data.find(_END, at)
        if end < 0:
            if bare_lf(data, at):
                raise BadChunks("malformed chunks: a trailer ends without CR")
            return at
        block = b"\r\n" + data[at:end]
        if not valid(block):
            raise BadChunks("malformed chunks: a trailer line is invalid")
        self.trailers = headers_in(block)
        for name, _, _ in self.trailers:
            if name in _NO_TRAILERS:
                raise BadChunks(f"a trailer must not be named {name.decode('ascii')}")
        self.ended = True
        return end + 4


@lru_cache(2048)
def plain_chunk(length: int) -> tuple[tuple[bytes, ...], int]:
    """Return how a chunk of *length* bytes, framing included, may begin, and its data size.

    Such a chunk has a size without leading zeros and no extension (RFC 9112, section 7.1), and ends
    with CR LF. There is no beginning for one with less than three bytes of data.
    """
    for digits in range(1, 9):
        size = length - digits - 4
        if size > 2 and len(line := b"%x\r\n" % size) == digits + 2:
            return (line, line.upper()), size
    return (), 0
