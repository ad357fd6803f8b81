"""httptools behind a guard, for responses: bytes in, message events out, split anywhere.

What is added to llhttp here (see `request_parser` for what both have in common): replies without a
body (it knows nothing of HEAD), replies that end with their connection, and a refusal of bytes that
answer nothing.
"""

from __future__ import annotations

from typing import Any, NoReturn, cast

import httptools

from sidecar.errors import BadReply
from sidecar.http import semantics
from sidecar.http.guard import Guard
from sidecar.http.limits import REPLY_LIMITS
from sidecar.http.message import CHUNKED, NO_BODY, UNTIL_CLOSE, ResponseHead, ResponseSink
from sidecar.http.whole import whole_response


class ResponseParser(Guard):
    """Parses the responses of one connection into *sink*."""

    def __init__(self, sink: ResponseSink) -> None:
        super().__init__(REPLY_LIMITS)
        self.sink = sink
        self._head = ResponseHead()
        self._to_head = False
        self._to_upgrade = False
        self._open = False
        self._answered = True
        self.between_chunks = False
        """What comes next is a chunk's size line: what is a `plain_chunk` need not be fed."""
        self._chunk_ended = False
        self._parser = httptools.HttpResponseParser(self)

    def expect(self, method: bytes, upgrade: bool) -> None:
        """A request with *method* was sent: the response in the reads from now on answers it."""
        self._to_head = method == b"HEAD"
        self._to_upgrade = upgrade
        self._open = True

    def feed(self, data: bytes) -> None:
        """Parse *data*. Raise BadReply for what must not be forwarded; then feed no more."""
        if self._raw:
            self.sink.on_body(data)
            return
        if not self._open:
            self._refuse_unasked()
            return
        if self._answered and not self._to_head:
            whole = whole_response(data)
            if whole is not None:
                self._open = False
                self._head = whole[0]
                self.sink.on_whole_response(*whole)
                return
        self._feed_parser(data)
        if self.in_head:
            self._keep_line()
            if self._unfinished > self._limits.headers:
                self._refuse_headers()
        elif self._head.body == CHUNKED:
            self._count_framing()
            # Behind a chunk, unless some of the next one's size line came too.
            self.between_chunks = self._chunk_ended and data[-2:] == b"\r\n"

    def _feed_parser(self, data: bytes) -> None:
        self._answered = False
        self._current = data
        self._seen = 0
        if self.in_head:
            self._unfinished += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._raw = True
            if len(data) > upgrade.args[0]:
                self.sink.on_body(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._fail(error)

    def _fail(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__
        if isinstance(error, httptools.HttpParserCallbackError) and not isinstance(cause, BadReply):
            raise cause or error
        if self._answered:
            self._refuse_unasked()
        else:
            raise (cause or BadReply(f"malformed reply: {error}")) from None

    def close(self) -> None:
        """Let go of what refers back to this parser, so that no cycle waits for the collector."""
        self.sink = self._parser = cast("Any", None)

    def end_of_stream(self) -> bool:
        """The server closed its side. True when that completes the response."""
        if self._open and not self.in_head and self._head.body == UNTIL_CLOSE:
            self._finish()
            return True
        return False

    def _refuse(self, message: str, status: int, code: str) -> NoReturn:
        raise BadReply(message)

    def _refuse_unasked(self) -> None:
        """Bytes behind a reply: ignored when it was to be the connection's last."""
        if self._head.keep_alive:
            raise BadReply("the server sent bytes that answer nothing")

    def _finish(self) -> None:
        trailers = self._take_trailers()
        self._open = False
        self._answered = True
        self.sink.on_response_end(trailers)

    # -- httptools' callbacks --

    def on_message_begin(self) -> None:
        """Start a new head. What is left of a read that ended a reply can't be the next one."""
        if self._answered:
            raise BadReply("the server sent bytes that answer nothing")
        self._head = head = ResponseHead()
        self._begin(head)

    def on_status(self, reason: bytes) -> None:
        """Collect the reason phrase, which comes in pieces."""
        self._head.reason += reason

    def on_headers_complete(self) -> None:
        """Check and deliver the head."""
        parser, head = self._parser, self._head
        self._end_head(head)
        head.status = parser.get_status_code()
        self._check_line(head, parser.get_http_version())
        if head.status < 200:
            self._deliver_interim(head)
            return
        self._frame(head)
        if self._to_head or head.minor == 0:  # of which llhttp knows less
            head.keep_alive = head.body != UNTIL_CLOSE and semantics.persists(head)
        else:
            head.keep_alive = parser.should_keep_alive()
        self.sink.on_response(head)
        if self._to_head and not self._answered:
            # llhttp would take the next reply for this one's body: go on with a fresh parser.
            self._parser = httptools.HttpResponseParser(self)
            self._finish()

    def _check_line(self, head: ResponseHead, version: str) -> None:
        head.minor = 1 if version == "1.1" else 0
        line = b"HTTP/1.%d %d" % (head.minor, head.status)
        if version not in {"1.1", "1.0"} or head.status < 100 or not self._saw(line):
            raise BadReply(f"the reply is malformed, or HTTP/{version} {head.status}")
        if not semantics.valid_reason(head.reason, self._limits.header):
            raise BadReply("the reply's reason phrase is not text")

    def _deliver_interim(self, head: ResponseHead) -> None:
        fields = head.fields
        if head.status == 101:
            if not (self._to_upgrade and self._parser.should_upgrade()):
                raise BadReply("the server switched protocols unasked")
            self.sink.on_response(head)
        elif b"content-length" in fields or b"transfer-encoding" in fields:
            # RFC 9110, section 15.2: it has no body. llhttp knows so of 100, 102 and 103 only.
            raise BadReply("an interim reply has a body")
        else:
            self.sink.on_interim(head)

    def on_body(self, data: bytes) -> None:
        """Deliver some of the body."""
        if self._answered:
            raise BadReply("the server sent bytes that answer nothing")
        self._data += len(data)
        self._chunks += 1
        self.sink.on_body(data)

    def on_chunk_header(self) -> None:
        """A chunk's size line was read."""
        if self._answered:  # behind the head of a reply to HEAD, in the same read
            raise BadReply("the server sent bytes that answer nothing")
        self._chunk_ended = False

    def on_chunk_complete(self) -> None:
        """A chunk was read to its end."""
        self._chunk_ended = True

    def on_message_complete(self) -> None:
        """Deliver the end of a final response."""
        self._chunk_ended = False
        if self._head.status >= 200 and not self._answered:
            self._finish()

    def _frame(self, head: ResponseHead) -> None:
        """RFC 9112, section 6.3, rules 1 to 8 in order."""
        fields = head.fields
        if self._to_head or head.status in {204, 304}:
            head.body = NO_BODY
            if b"content-length" in fields:
                self._length()  # it is passed on, so it must be a length all the same
        elif b"transfer-encoding" in fields:
            if head.minor == 0 or fields[b"transfer-encoding"].lower() != b"chunked":
                raise BadReply("the reply's transfer coding is not chunked")
            head.body = CHUNKED
        elif b"content-length" in fields:
            head.body = self._length()
        else:
            head.body = UNTIL_CLOSE
