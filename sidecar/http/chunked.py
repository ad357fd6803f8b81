"""Chunked bodies (RFC 9112, section 7.1): their framing read, checked and bounded.

Of a chunk whose size is known nothing is looked at but its end, so that no data takes longer to
read than other data. Size lines are strict: no white space, no bare LF, no sign, 16 digits at most.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, Protocol, cast

from sidecar.http.fields import Header, headers_in, valid
from sidecar.http.head import bare_lf

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_QUOTED: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_SIZE_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,16}+)(?:;%b(?:=(?:%b|%b))?+)*+\r\n" % (_TOKEN, _TOKEN, _QUOTED)
).match
_BEGINNING: Final = re.compile(rb"(?:[0-9A-Fa-f]{1,16}+(?:;[^\r\n]*+)?+\r?+)?+").fullmatch
"""May become a size line."""
_LARGE: Final = 4096
"""Bytes. Smaller pieces are joined: to deliver each would take longer than the copy."""
_SHORT: Final = 32
"""Bytes of a size line that are looked at before its end: an extension may be long."""
_END: Final = b"\r\n\r\n"
_ALLOWANCE: Final = 16 * 1024
"""Bytes of size lines, extensions and trailers beyond 16 a chunk (as Go's net/http counts)."""
_NO_TRAILERS: Final = frozenset(
    {b"connection", b"content-length", b"proxy-connection", b"transfer-encoding"}
)
"""RFC 9110, section 6.5.1: what would frame another message for a reader that merges trailers."""


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
        self._sink = sink
        self._left = 0
        """Bytes of the chunk's data that are still to come."""
        self._open = False
        """A chunk has begun, and the CR LF behind its data has not come."""
        self._last = False
        """The last chunk's size line came: what comes are trailers."""
        self._held = bytearray()
        """The beginning of a size line, a chunk's CR LF, or trailers."""
        self._excess = 0

    @property
    def between_chunks(self) -> bool:
        """Whether a chunk's size line comes next: what is a `plain_chunk` need not be fed."""
        return not (self._open or self._held or self._last)

    def feed(self, data: bytes, at: int) -> int:
        """Take *data* from *at* to the end of the body; the position behind what was taken.

        Raise BadChunks. What the sink raises passes through.
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
        """Let go of the sink, which refers back to this."""
        self._sink = cast("Any", None)

    def _goes_on(self, before: int) -> bool:
        """Whether what is held can be read, of which *before* bytes could not.

        Only what is new is looked at: what comes byte by byte must not be read again and again.
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
        """Count *excess* bytes of framing, and *unread* ones that are held."""
        self._excess = max(0, self._excess + excess)
        if self._excess > _ALLOWANCE or unread > _ALLOWANCE:
            raise BadChunks("the chunked framing has too many bytes besides the data")

    def _read(self, data: bytes, at: int, found: list[bytes]) -> int:
        """Read as much as is complete, add the data to *found*, and return the position behind."""
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
    """How a chunk of *length* bytes, framing and all, may begin, and how much data is in it.

    That is RFC 9112, section 7.1, with no more digits than needed and no extension; it ends with
    CR LF. There is no way to begin one that has less than three bytes of data.
    """
    for digits in range(1, 9):
        size = length - digits - 4
        if size > 2 and len(line := b"%x\r\n" % size) == digits + 2:
            return (line, line.upper()), size
    return (), 0
