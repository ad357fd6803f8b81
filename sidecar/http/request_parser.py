"""The requests of one connection: bytes in, message events out, split anywhere.

One request is parsed at a time: see `RequestParser.feed`. Limits are exact when a head ends. While
it is unfinished they are checked after each read, so the buffer may exceed them by one read.
"""

from __future__ import annotations

import re
from typing import Any, Final, cast

from sidecar.errors import BadMessage
from sidecar.http.chunked import BadChunks, Chunked
from sidecar.http.head import METHODS, bare_lf, first_word, read_request, read_request_line
from sidecar.http.limits import HeadLimits
from sidecar.http.message import CHUNKED, RequestHead, RequestSink
from sidecar.http.states import State, moves

_END: Final = b"\r\n\r\n"
_LINE_ENDS: Final = (b"\r", b"\n")
_BLANK: Final = re.compile(rb"[\r\n]++")
_EMPTY_LINES: Final = b"\r\n" * 8
"""Some clients send an extra one after a body; none sends more than a few."""


class RequestState(State):
    """What the next byte belongs to."""

    START = "a request, or an empty line before one"
    HEAD = "a head"
    BODY = "a body with a Content-Length"
    CHUNKS = "a chunked body"
    RAW = "a connection that switched protocols"
    CLOSED = "nothing that is read"


moves(
    {
        RequestState.START: (
            RequestState.START,  # a whole request in one read
            RequestState.HEAD,
            RequestState.BODY,
            RequestState.CHUNKS,
            RequestState.RAW,
            RequestState.CLOSED,
        ),
        RequestState.HEAD: (
            RequestState.START,
            RequestState.BODY,
            RequestState.CHUNKS,
            RequestState.RAW,
            RequestState.CLOSED,
        ),
        RequestState.BODY: (RequestState.START, RequestState.CLOSED),
        RequestState.CHUNKS: (RequestState.START, RequestState.CLOSED),
        RequestState.RAW: (RequestState.CLOSED,),
        RequestState.CLOSED: (),
    }
)


class RequestParser:
    """Parses the requests of one connection into *sink*, one at a time."""

    def __init__(self, sink: RequestSink, limits: HeadLimits) -> None:
        self.state: RequestState = RequestState.START
        self.sink = sink
        self.unfinished: RequestHead | None = None
        """The head of the request that is being received, as far as it is known."""
        self._limits = limits
        self._last_raw = b"\0"  # which no head is
        self._last_head = RequestHead()
        """The head before, as it came and as it was read: it is never changed."""
        self._held = bytearray()
        """The bytes of an incomplete head."""
        self._empty_lines = 0
        """Bytes of empty lines before the next request."""
        self._left = 0
        """Bytes of a body with a Content-Length that are still missing."""
        self._read = 0
        """Bytes of a chunked body so far."""
        self._chunks: Chunked | None = None
        self._last = False

    def __repr__(self) -> str:
        return f"<RequestParser {self.state.name}>"

    @property
    def begun(self) -> bool:
        """Whether a head is being received. An empty line before it counts as its beginning."""
        return self.state is RequestState.HEAD or self._empty_lines > 0

    def feed(self, data: bytes, at: int = 0) -> int:
        """Parse *data* from *at* to the end of one request; return the position after it.

        Feed the rest once that request was served. If a read full of pipelined requests were parsed
        at once, it would take many times its own size while it waits. Raise BadMessage if the
        request must not be forwarded; then feed no more.
        """
        state = self.state
        if state is RequestState.START:
            if self._empty_lines or data[at : at + 1] in _LINE_ENDS:
                at = self._skip_empty_lines(data, at)
            return self._feed_head(data, at) if at < len(data) else at
        if state is RequestState.HEAD:
            return self._feed_head(data, at)
        if state is RequestState.BODY:
            return self._feed_body(data, at)
        if state is RequestState.CHUNKS:
            return self._feed_chunks(data, at)
        if state is RequestState.RAW:
            self.sink.on_body(data[at:])
        return len(data)  # CLOSED: nothing after a request that asked to close (RFC 9112, 9.6)

    def close(self) -> None:
        """Drop what refers back to this parser, so that no cycle waits for the collector."""
        if self.state is not RequestState.CLOSED:
            self.state = self.state.to(RequestState.CLOSED)
        self.sink = cast("Any", None)
        if self._chunks is not None:
            self._chunks.close()

    # -- the head --

    def _skip_empty_lines(self, data: bytes, at: int) -> int:
        """Skip a few CR LF before a request line (RFC 9112, section 2.2)."""
        found = _BLANK.match(data, at)
        blank, before = (found[0] if found else b""), self._empty_lines
        self._empty_lines += len(blank)
        ends = at + len(blank) < len(data)
        if not _EMPTY_LINES.startswith(blank, before) or (ends and self._empty_lines % 2):
            raise BadMessage("malformed line endings before the request")
        if ends:
            self._empty_lines = 0
        return at + len(blank)

    def _feed_head(self, data: bytes, at: int) -> int:
        held = self._held
        if not held:
            end = data.find(_END, at)
            if end >= 0:
                return self._take_head(data[at:end], data, end + 4)
        before = len(held)
        held += data[at:]
        end = held.find(_END, max(0, before - 3))
        if end >= 0:
            self._held = bytearray()
            return self._take_head(bytes(held[:end]), data, at + end + 4 - before)
        if self.state is not RequestState.HEAD:
            self.state = self.state.to(RequestState.HEAD)
        self._check_unfinished(before)
        return len(data)

    def _check_unfinished(self, before: int) -> None:
        """Refuse a beginning that is malformed or too long. *before*: bytes already checked."""
        limits = self._limits
        head = self.unfinished or RequestHead()
        try:
            if self.unfinished is None and self._read_beginning(head, before):
                self.unfinished = head
            if bare_lf(self._held, before):
                raise BadMessage("malformed request: a line ends without CR")
            if len(self._held) > limits.headers + limits.request_line:
                message = f"headers are longer than {limits.headers} bytes"
                raise BadMessage(message, status=431, code="head_too_large")
        except BadMessage:
            self.unfinished = head  # a HEAD is refused as such
            raise

    def _read_beginning(self, head: RequestHead, before: int) -> bool:
        """Read the request line into *head* as far as it is here. Return whether it is complete."""
        held, longest = self._held, self._limits.request_line
        end = held.find(b"\r\n", max(0, before - 1), longest)
        if end >= 0:
            read_request_line(head, bytes(held[:end]), self._limits)
            return True
        word = first_word(held)
        complete = len(word) < len(held)
        if not (word in METHODS if complete else any(m.startswith(word) for m in METHODS)):
            raise BadMessage("the method is unknown", status=501)
        head.method = word if complete else b""
        if len(held) >= longest and held.find(b"\n", 0, longest) < 0:
            message = f"the request line is longer than {longest} bytes"
            raise BadMessage(message, status=414, code="request_line_too_long")
        return False

    def _take_head(self, raw: bytes, data: bytes, at: int) -> int:
        """Deliver a complete head, and the part of its body in *data* from *at* on."""
        if raw == self._last_raw:  # a client that says the same each time: saves 14 us of a call
            self.unfinished = head = self._last_head
        else:
            self.unfinished = head = RequestHead()
            read_request(head, raw, self._limits)
            self._last_raw, self._last_head = raw, head
        self._last = not head.keep_alive
        size = head.body
        if head.upgrade:
            self.state = self.state.to(RequestState.RAW)
            self.sink.on_request(head)
            if at < len(data):
                self.sink.on_body(data[at:])
            return len(data)
        if 0 <= size <= len(data) - at:
            self._end()
            self.sink.on_whole_request(head, data[at : at + size])
            return self._position(data, at + size)
        self.sink.on_request(head)
        if size == CHUNKED:
            self.state, self._chunks = self.state.to(RequestState.CHUNKS), Chunked(self)
            self._read = 0
            return self._feed_chunks(data, at)
        self.state, self._left = self.state.to(RequestState.BODY), size
        return self._feed_body(data, at)

    # -- the body --

    def _feed_body(self, data: bytes, at: int) -> int:
        end = min(len(data), at + self._left)
        if at < end:
            self._left -= end - at
            self.sink.on_body(data[at:end])
        if self._left:
            return end
        self._end()
        self.sink.on_request_end([])
        return self._position(data, end)

    def _feed_chunks(self, data: bytes, at: int) -> int:
        chunks = self._chunks
        assert chunks is not None
        try:
            end = chunks.feed(data, at)
        except BadChunks as error:
            raise BadMessage(str(error)) from None
        if not chunks.ended:
            return end
        self._chunks = None
        chunks.close()
        self._end()
        self.sink.on_request_end(chunks.trailers)
        return self._position(data, end)

    def on_body(self, data: bytes) -> None:
        """Take *data* of a chunked body."""
        limit = self._limits.body
        if limit is not None:
            self._read += len(data)
            if self._read > limit:
                message = f"the body is longer than {limit} bytes"
                raise BadMessage(message, status=413, code="body_too_large")
        self.sink.on_body(data)

    def _end(self) -> None:
        self.state = self.state.to(RequestState.CLOSED if self._last else RequestState.START)
        self.unfinished = None

    def _position(self, data: bytes, end: int) -> int:
        """Return the position in *data* after a request that ended at *end*."""
        return len(data) if self.state is RequestState.CLOSED else end
