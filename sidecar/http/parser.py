"""httptools behind a guard: bytes in, message events out, split anywhere.

llhttp is strict about syntax but leaves much to its user. What is added here and in `guard`, each
with a test: limits on every size (it has none), Host and target rules, versions, protocols and
transfer codings that we do not speak, `Upgrade` with a body (it would parse the body as a new
request), replies without a body (it knows nothing of HEAD), replies that end with their connection,
and a bound on what chunked framing may carry besides data.

Size limits are exact when a head ends. While it is unfinished they are checked after each `feed`,
so that what is held may pass them by two reads of the socket: the one that a head began in, and the
last.
"""

from __future__ import annotations

from typing import NoReturn

import httptools

from sidecar.errors import BadMessage, BadReply
from sidecar.http import semantics
from sidecar.http.guard import Guard
from sidecar.http.limits import REPLY_LIMITS, HeadLimits
from sidecar.http.message import (
    CHUNKED,
    NO_BODY,
    UNTIL_CLOSE,
    RequestHead,
    RequestSink,
    ResponseHead,
    ResponseSink,
)
from sidecar.http.target import resolve_target
from sidecar.http.whole import whole_request, whole_response


class RequestParser(Guard):
    """Parses the requests of one connection into *sink*."""

    def __init__(self, sink: RequestSink, limits: HeadLimits) -> None:
        super().__init__(limits)
        self.sink = sink
        self._head = RequestHead()
        self._body_read = 0
        self._resuming = False
        self._closed = False
        self._between = True
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Parse *data*. Raise BadMessage for what must not be forwarded; then feed no more."""
        if self._raw:
            self.sink.on_body(data)
            return
        if self._closed:
            return  # RFC 9112, section 9.6: nothing after a request that asked to close
        if self._between:
            whole = whole_request(data, self._limits, self._small)
            if whole is not None:
                self.sink.on_whole_request(*whole)
                return
        self._current = data
        self._seen = 0
        if self.in_head:
            self._unfinished += len(data)
        self._feed_all(data)
        if self.in_head:
            self._check_unfinished()
        elif self._head.body == CHUNKED:
            self._count_framing()

    def _feed_all(self, data: bytes) -> None:
        rest: bytes | memoryview = data
        while True:
            try:
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = memoryview(rest)[upgrade.args[0] :]
                if self._after_upgrade(rest):
                    continue
            except httptools.HttpParserError as error:
                self._fail(error)
            return

    def _fail(self, error: httptools.HttpParserError) -> None:
        if isinstance(error.__context__, BadMessage):
            raise error.__context__ from None
        if isinstance(error, httptools.HttpParserCallbackError):
            raise error.__context__ or error
        if isinstance(error, httptools.HttpParserInvalidMethodError):
            self._refuse("the method is unknown", 501, "bad_request")
        if not self._closed:
            self._refuse(f"malformed request: {error}", 400, "bad_request")

    def _after_upgrade(self, rest: memoryview) -> bool:
        """Go on behind a head with `Upgrade`, where llhttp stops whether we want it or not.

        True when *rest* is still to be parsed.
        """
        if self._head.upgrade:
            self._raw = True
            if rest:
                self.sink.on_body(bytes(rest))
            return False
        # An upgrade that we do not offer (h2c, as Java's HttpClient sends with every call) is
        # ignored (RFC 9110, section 7.8). A fresh parser is brought to the same place by a head
        # that has the same framing and nothing else.
        self._parser = httptools.HttpRequestParser(self)
        self._resuming = True
        self._parser.feed_data(semantics.framing_of(self._head))
        self._resuming = False
        self._trailers = []  # the framing
        return bool(rest) and not self._closed

    def _check_unfinished(self) -> None:
        self._keep_line()
        limits = self._limits
        if len(self._head.target) > limits.request_line:
            self._refuse_line()
        if self._unfinished > limits.headers + limits.request_line:
            self._refuse_headers()

    def _refuse(self, message: str, status: int, code: str) -> NoReturn:
        raise BadMessage(message, status=status, code=code)

    def _refuse_line(self) -> NoReturn:
        message = f"the request line is longer than {self._limits.request_line} bytes"
        self._refuse(message, 414, "request_line_too_long")

    # -- httptools' callbacks --

    def on_message_begin(self) -> None:
        """Start a new head."""
        if not self._resuming:
            self._between = False
            self._head = head = RequestHead()
            self._begin(head)

    def on_url(self, url: bytes) -> None:
        """Collect the target, which comes in as many pieces as the reads it was split over."""
        if not self._resuming:
            self._head.target += url

    def on_headers_complete(self) -> None:
        """Check and deliver the head."""
        if self._resuming:
            return
        parser, head = self._parser, self._head
        head.method = parser.get_method()
        self._check_line(head, parser.get_http_version())
        self._end_head(head)
        self._frame(head)
        self._check_target(head)
        if parser.should_upgrade():
            head.upgrade = semantics.is_websocket(head)
        head.keep_alive = parser.should_keep_alive()
        if b"expect" in head.fields:
            head.expects_continue = semantics.expects_continue(head)
        self.sink.on_request(head)

    def on_body(self, data: bytes) -> None:
        """Deliver some of the body."""
        self._data += len(data)
        self._chunks += 1
        if self._limits.body is not None:
            self._body_read += len(data)
            self._check_body(self._body_read, self._limits.body)
        self.sink.on_body(data)

    def on_message_complete(self) -> None:
        """Deliver the end, unless it is not one (see `_after_upgrade`)."""
        head = self._head
        if head.upgrade or (self._parser.should_upgrade() and head.body != NO_BODY):
            return
        self._closed = not head.keep_alive
        self._between = True
        self.sink.on_request_end(self._take_trailers())

    # -- rules that llhttp leaves to us --

    def _check_line(self, head: RequestHead, version: str) -> None:
        line = b"%b %b HTTP/" % (head.method, head.target)
        if len(line) + 5 > self._limits.request_line:  # 1.1 and CRLF
            self._refuse_line()
        if version != "1.1":
            if version != "1.0":
                self._refuse(f"HTTP/{version} is not spoken here", 505, "bad_request")
            head.minor = 0
        if not self._saw(line):
            self._refuse("malformed request line", 400, "bad_request")

    def _frame(self, head: RequestHead) -> None:
        fields = head.fields
        if b"content-length" in fields:
            head.body = self._length()
            if self._limits.body is not None:
                self._body_read = 0
                self._check_body(head.body, self._limits.body)
        elif b"transfer-encoding" in fields:
            # RFC 9112, section 6.1: not in HTTP/1.0, and 501 for codings that we do not know.
            if head.minor == 0:
                self._refuse("Transfer-Encoding in HTTP/1.0", 400, "bad_request")
            if fields[b"transfer-encoding"].lower() != b"chunked":
                self._refuse("only the chunked transfer coding is spoken here", 501, "bad_request")
            head.body = CHUNKED
            self._body_read = 0

    def _check_body(self, size: int, limit: int) -> None:
        if size > limit:
            self._refuse(f"the body is longer than {limit} bytes", 413, "body_too_large")

    def _check_target(self, head: RequestHead) -> None:
        if head.method == b"CONNECT":
            self._refuse("CONNECT is for a forward proxy; this is none", 405, "bad_request")
        problem = resolve_target(head)
        if problem is not None:
            self._refuse(problem, 400, "bad_request")


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
        elif b"transfer-encoding" in fields:
            if head.minor == 0 or fields[b"transfer-encoding"].lower() != b"chunked":
                raise BadReply("the reply's transfer coding is not chunked")
            head.body = CHUNKED
        elif b"content-length" in fields:
            head.body = self._length()
        else:
            head.body = UNTIL_CLOSE
