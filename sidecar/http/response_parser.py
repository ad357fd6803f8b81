"""The responses of one connection: bytes in, message events out, split anywhere."""

from __future__ import annotations

from typing import Any, Final, cast

from sidecar.errors import BadReply
from sidecar.http.chunked import BadChunks, Chunked
from sidecar.http.fields import Header
from sidecar.http.head import bare_lf, read_response
from sidecar.http.limits import REPLY_LIMITS
from sidecar.http.message import CHUNKED, CLOSE_DELIMITED, ResponseHead, ResponseSink
from sidecar.http.semantics import switches_protocols
from sidecar.http.states import State, moves

_END: Final = b"\r\n\r\n"
_BEGINS: Final = b"HTTP/1."


class ResponseState(State):
    """What the next byte belongs to."""

    IDLE = "nothing: no request was sent"
    HEAD = "a head"
    BODY = "a body with a Content-Length"
    CHUNKS = "a chunked body"
    CLOSE_DELIMITED = "a body that ends with the connection"
    RAW = "a connection that switched protocols"


moves(
    {
        ResponseState.IDLE: (ResponseState.HEAD,),
        ResponseState.HEAD: (
            ResponseState.IDLE,  # a whole response in one read
            ResponseState.BODY,
            ResponseState.CHUNKS,
            ResponseState.CLOSE_DELIMITED,
            ResponseState.RAW,
        ),
        ResponseState.BODY: (ResponseState.IDLE,),
        ResponseState.CHUNKS: (ResponseState.IDLE,),
        ResponseState.CLOSE_DELIMITED: (ResponseState.IDLE,),
        ResponseState.RAW: (),
    }
)


class ResponseParser:
    """Parses the responses of one connection into *sink*."""

    def __init__(self, sink: ResponseSink) -> None:
        self.state: ResponseState = ResponseState.IDLE
        self.sink = sink
        self.between_chunks = False
        """Whether a chunk's size line is next, so that a `plain_chunk` need not be fed."""
        self._to_head = False
        self._to_upgrade = False
        self._last_raw = b"\0"  # which no head is
        self._last_head = ResponseHead()
        """The head before, as it came and as it was read: it is never changed."""
        self._last_to_head = False
        self._held = bytearray()
        """The bytes of an incomplete head."""
        self._left = 0
        """Bytes of a body with a Content-Length that are still missing."""
        self._chunks: Chunked | None = None
        self._last = False
        self._complete = 0
        """Number of complete responses."""

    def __repr__(self) -> str:
        return f"<ResponseParser {self.state.name}>"

    def expect(self, method: bytes, upgrade: bool) -> None:
        """A request with *method* was sent: the next response answers it."""
        self._to_head = method == b"HEAD"
        self._to_upgrade = upgrade
        self.state = self.state.to(ResponseState.HEAD)

    def feed(self, data: bytes) -> None:
        """Parse *data*. Raise BadReply if it must not be forwarded; then feed no more."""
        state, at, complete = self.state, 0, self._complete
        if state is ResponseState.CHUNKS:
            at = self._feed_chunks(data, at)
        elif state is ResponseState.BODY:
            at = self._feed_body(data, at)
        elif state is ResponseState.CLOSE_DELIMITED or state is ResponseState.RAW:
            self.sink.on_body(data)
            return
        # Bytes after a reply can't be the next one, even if another request was sent by now.
        while at < len(data) and self.state is ResponseState.HEAD and self._complete == complete:
            at = self._feed_head(data, at)
        if at < len(data) and not self._last:
            raise BadReply("the server sent bytes that belong to no request")

    def end_of_stream(self) -> bool:
        """The server closed its side. Return whether that completes the response."""
        if self.state is ResponseState.CLOSE_DELIMITED:
            self._finish([])
            return True
        return False

    def close(self) -> None:
        """Drop what refers back to this parser, so that no cycle waits for the collector."""
        self.sink = cast("Any", None)
        if self._chunks is not None:
            self._chunks.close()

    # -- the head --

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
        if not _BEGINS.startswith(held[: len(_BEGINS)]):
            raise BadReply("the reply is malformed: it does not begin with a status line")
        if bare_lf(held, before):
            raise BadReply("the reply is malformed: a line ends without CR")
        if len(held) > REPLY_LIMITS.headers:
            raise BadReply(f"headers are longer than {REPLY_LIMITS.headers} bytes")
        return len(data)

    def _take_head(self, raw: bytes, data: bytes, at: int) -> int:
        """Deliver a complete head, and the part of its body in *data* from *at* on."""
        if raw == self._last_raw and self._to_head == self._last_to_head:
            head = self._last_head  # saves 14 us of a call
        else:
            head = read_response(raw, REPLY_LIMITS, self._to_head)
            self._last_raw, self._last_head, self._last_to_head = raw, head, self._to_head
        if head.status < 200:
            return self._take_interim(head, data, at)
        self._last = not head.keep_alive
        size = head.body
        if 0 <= size <= len(data) - at:
            self.state = self.state.to(ResponseState.IDLE)
            self._complete += 1
            self.sink.on_whole_response(head, data[at : at + size])
            return at + size
        self.sink.on_response(head)
        if size == CHUNKED:
            self.state, self._chunks = self.state.to(ResponseState.CHUNKS), Chunked(self.sink)
            return self._feed_chunks(data, at)
        if size == CLOSE_DELIMITED:
            self.state = self.state.to(ResponseState.CLOSE_DELIMITED)
            if at < len(data):
                self.sink.on_body(data[at:])
            return len(data)
        self.state, self._left = self.state.to(ResponseState.BODY), size
        return self._feed_body(data, at)

    def _take_interim(self, head: ResponseHead, data: bytes, at: int) -> int:
        if head.status != 101:
            self.sink.on_interim(head)
            return at
        if not (self._to_upgrade and switches_protocols(head)):
            raise BadReply("the server switched protocols without being asked to")
        self.state = self.state.to(ResponseState.RAW)
        self.sink.on_response(head)
        if at < len(data):
            self.sink.on_body(data[at:])
        return len(data)

    # -- the body --

    def _feed_body(self, data: bytes, at: int) -> int:
        end = min(len(data), at + self._left)
        if at < end:
            self._left -= end - at
            self.sink.on_body(data[at:end])
        if not self._left:
            self._finish([])
        return end

    def _feed_chunks(self, data: bytes, at: int) -> int:
        chunks = self._chunks
        assert chunks is not None
        try:
            end = chunks.feed(data, at)
        except BadChunks as error:
            raise BadReply(str(error)) from None
        self.between_chunks = chunks.between_chunks
        if chunks.ended:
            self._chunks = None
            chunks.close()
            self._finish(chunks.trailers)
        return end

    def _finish(self, trailers: list[Header]) -> None:
        self.state = self.state.to(ResponseState.IDLE)
        self._complete += 1
        self.sink.on_response_end(trailers)
