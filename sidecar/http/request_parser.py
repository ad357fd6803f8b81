"""httptools behind a guard, for requests: bytes in, message events out, split anywhere.

llhttp is strict about syntax but leaves much to its user. `guard`, this file and `response_parser`
add the rest, each rule with a test: limits on every size (it has none), rules for Host and target,
versions, protocols and transfer codings that we do not speak, `Upgrade` with a body (it would parse
the body as a new request), one request at a time (it parses all that it is fed), and a bound on
what chunked framing may carry besides data.

Size limits are exact when a head ends. While it is unfinished they are checked after each `feed`,
so that what is held may pass them by two reads of the socket: the one that a head began in, and the
last.
"""

from __future__ import annotations

import re
from typing import Any, Final, NoReturn, cast

import httptools

from sidecar.errors import BadMessage
from sidecar.http import semantics
from sidecar.http.guard import Guard
from sidecar.http.limits import HeadLimits
from sidecar.http.message import CHUNKED, NO_BODY, RequestHead, RequestSink
from sidecar.http.target import resolve_target
from sidecar.http.whole import whole_request

_UNKNOWN: Final = -1
_HEAD_END: Final = b"\r\n\r\n"
_LINE_ENDS: Final = (b"\r", b"\n")
_BLANK: Final = re.compile(rb"[\r\n]++")
_EMPTY_LINES: Final = b"\r\n" * 8
"""Clients that send one too many after a body are known; none sends more than a few."""


class RequestParser(Guard):
    """Parses the requests of one connection into *sink*, one at a time."""

    def __init__(self, sink: RequestSink, limits: HeadLimits) -> None:
        super().__init__(limits)
        self.sink = sink
        self._head = RequestHead()
        self._body_read = 0
        self._body_left = _UNKNOWN
        """Bytes of a body with a Content-Length that are still to come."""
        self._resuming = False
        self._closed = False
        self._between = True
        """The next byte begins a request, or an empty line before one."""
        self._empty_lines = 0
        """Bytes of the empty lines that came before the next request."""
        self._tail = b""
        """The last bytes of the read before: an empty line may have begun in them."""
        self._parser = httptools.HttpRequestParser(self)

    @property
    def begun(self) -> bool:
        """Whether a head is being received. An empty line before it is its beginning."""
        return self.in_head or self._empty_lines > 0

    @property
    def unfinished(self) -> RequestHead | None:
        """What is known of the request that is being received."""
        return None if self._between else self._head

    def feed(self, data: bytes, at: int = 0) -> int:
        """Parse *data* from *at* to the end of one request; return the position behind it.

        The rest is to be fed once that request was served. If a read full of pipelined requests
        were parsed at once, it would take many times its own size while it waits. Raise BadMessage
        for what must not be forwarded; then feed no more.
        """
        if self._raw:
            self.sink.on_body(data)
            return len(data)
        if self._closed:
            return len(data)  # RFC 9112, section 9.6: nothing after a request that asked to close
        if self._between:
            if self._empty_lines or data[at : at + 1] in _LINE_ENDS:
                at = self._skip_empty_lines(data, at)
            whole = None if at else whole_request(data, self._limits, self._small)
            if whole is not None:
                self.sink.on_whole_request(*whole)
                return len(data)
        at = self._feed_request(data, at)
        if self.in_head:
            self._check_unfinished()
        return at

    def close(self) -> None:
        """Let go of what refers back to this parser, so that no cycle waits for the collector."""
        self._closed, self._raw = True, False
        self.sink = self._parser = cast("Any", None)

    def _skip_empty_lines(self, data: bytes, at: int) -> int:
        """Skip a few CR LF before a request line (RFC 9112, section 2.2)."""
        found = _BLANK.match(data, at)
        blank, before = (found[0] if found else b""), self._empty_lines
        self._empty_lines += len(blank)
        ends = at + len(blank) < len(data)
        if not _EMPTY_LINES.startswith(blank, before) or (ends and self._empty_lines % 2):
            self._refuse("malformed line ends before a request", 400, "bad_request")
        if ends:
            self._empty_lines = 0
        return at + len(blank)

    def _feed_request(self, data: bytes, at: int) -> int:
        """Feed llhttp, which does not stop at a request's end, pieces that can't pass it."""
        while at < len(data):
            end = self._may_end(data, at)
            whole = end - at == len(data)
            self._feed_piece(data if whole else data[at:end])
            at = end
            if self._raw:
                if at < len(data):
                    self.sink.on_body(data[at:])
                return len(data)
            if self._between:
                return len(data) if self._closed else at
        return at

    def _may_end(self, data: bytes, at: int) -> int:
        """A position in *data* behind *at* that the request's end does not come before."""
        if self._body_left > 0:
            return min(len(data), at + self._body_left)
        # A head ends with its first empty line, and a chunked body with some empty line.
        tail, self._tail = self._tail, b""
        if tail and (found := (tail + data[at : at + 3]).find(_HEAD_END)) >= 0:
            return at + found + 4 - len(tail)
        if (found := data.find(_HEAD_END, at)) >= 0:
            return found + 4
        self._tail = (tail + data[max(at, len(data) - 3) :])[-3:]
        return len(data)

    def _feed_piece(self, data: bytes) -> None:
        self._current = data
        self._seen = 0
        if self.in_head:
            self._unfinished += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._after_upgrade()
        except httptools.HttpParserError as error:
            self._fail(error)
        if not self.in_head and self._head.body == CHUNKED:
            self._count_framing()

    def _fail(self, error: httptools.HttpParserError) -> None:
        if isinstance(error.__context__, BadMessage):
            raise error.__context__ from None
        if isinstance(error, httptools.HttpParserCallbackError):
            raise error.__context__ or error
        if isinstance(error, httptools.HttpParserInvalidMethodError):
            raise BadMessage("the method is unknown", status=501, code="bad_request") from None
        self._refuse(f"malformed request: {error}", 400, "bad_request")

    def _after_upgrade(self) -> None:
        """Go on behind a head with `Upgrade`, where llhttp stops whether we want it or not."""
        if self._head.upgrade:
            self._raw = True
            return
        # An upgrade that we do not offer (h2c, as Java's HttpClient sends with every call) is
        # ignored (RFC 9110, section 7.8). A fresh parser is brought to the same place by a head
        # that has the same framing and nothing else.
        self._parser = httptools.HttpRequestParser(self)
        self._resuming = True
        self._parser.feed_data(semantics.framing_of(self._head))
        self._resuming = False
        self._trailers = []  # the framing

    def _check_unfinished(self) -> None:
        self._keep_line()
        limits = self._limits
        if len(self._head.target) > limits.request_line:
            self._refuse_line()
        if self._unfinished > limits.headers + limits.request_line:
            self._refuse_headers()

    def _refuse(self, message: str, status: int, code: str) -> NoReturn:
        if self.in_head and not self._head.method:
            self._head.method = self._parser.get_method()
        raise BadMessage(message, status=status, code=code)

    def _refuse_line(self) -> NoReturn:
        message = f"the request line is longer than {self._limits.request_line} bytes"
        self._refuse(message, 414, "request_line_too_long")

    # -- httptools' callbacks --

    def on_message_begin(self) -> None:
        """Start a new head."""
        if not self._resuming:
            self._between = False
            self._body_left = _UNKNOWN
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
        if self._body_left > 0:
            self._body_left -= len(data)
        if self._limits.body is not None:
            self._body_read += len(data)
            self._check_body(self._body_read, self._limits.body)
        self.sink.on_body(data)

    def on_message_complete(self) -> None:
        """Deliver the end, unless it is not one (see `_after_upgrade`)."""
        head = self._head
        if head.upgrade or (self._parser.should_upgrade() and head.body != NO_BODY):
            return
        trailers = self._take_trailers()  # which may refuse the request, while it is unfinished
        self._closed = not head.keep_alive
        self._between = True
        self.sink.on_request_end(trailers)

    # -- rules that llhttp leaves to us --

    def _check_line(self, head: RequestHead, version: str) -> None:
        line = b"%b %b HTTP/" % (head.method, head.target)
        if len(line) + 5 > self._limits.request_line:  # 1.1 and CRLF
            self._refuse_line()
        if not self._saw(line):
            self._refuse("malformed request line", 400, "bad_request")
        if version != "1.1":
            if version != "1.0":
                self._refuse(f"HTTP/{version} is not spoken here", 505, "bad_request")
            head.minor = 0

    def _frame(self, head: RequestHead) -> None:
        fields = head.fields
        if b"content-length" in fields:
            head.body = self._body_left = self._length()
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
