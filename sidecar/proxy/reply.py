"""A reply on its way downstream: its head, its framing there, and how it ends when it breaks."""

from __future__ import annotations

import time
from math import ceil
from typing import TYPE_CHECKING, Final, Protocol

from sidecar.errors import TraceRefused
from sidecar.http.headers import (
    CHUNKED_LINE,
    CLOSE_LINE,
    KEEP_ALIVE_LINE,
    UPGRADE_LINES,
    chunk,
    response_end,
    response_lines,
    status_line,
)
from sidecar.http.message import CHUNKED, Header, ResponseHead
from sidecar.http.sse import Boundary
from sidecar.llm.dialects import Dialect, error_body, error_event, of_request
from sidecar.proxy.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecar.errors import CallError
    from sidecar.proxy.call import Call

_REASONS: Final = {
    400: b"Bad Request",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    413: b"Content Too Large",
    414: b"URI Too Long",
    415: b"Unsupported Media Type",
    421: b"Misdirected Request",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}


SHOULD_NOT_RETRY: Final = b"\r\nx-should-retry: false"
"""What the OpenAI and Anthropic SDKs obey (`_should_retry` in their `_base_client.py`)."""


class Writer(Protocol):
    """Where an exchange's reply goes."""

    @property
    def relay(self) -> Relay | None:
        """The short way, where what comes in chunks goes on in chunks. There once it has begun."""

    def begin(self, held: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        """The head, with what came of the body."""

    def write(self, held: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        """More of the body, and its end."""


class ReplyWriter:
    """Writes one reply to the application's connection, one write for each read upstream."""

    __slots__ = ("_boundary", "_call", "_chunked", "_events", "_head", "_transport", "relay")

    def __init__(self, call: Call, head: ResponseHead) -> None:
        self._call = call
        self._head = head
        self._transport = call.downstream.transport
        self._chunked = head.body < 0 and call.head.minor == 1
        self._events = False
        self._boundary = Boundary()
        self.relay: Relay | None = None

    def begin(self, held: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        """Send the head with what came of the body. From here on nothing can be retried."""
        call, head = self._call, self._head
        call.status = head.status
        call.first_byte = time.monotonic()
        if head.body < 0:
            self._begin_stream()
        parts = [status_line(head), response_lines(head), self._own_lines(), b"\r\n\r\n", *held]
        if self._chunked:
            del parts[4:]
            self._add_chunks(parts, held, ended, trailers)
        self._transport.write(b"".join(parts))

    def _begin_stream(self) -> None:
        if self._head.body == CHUNKED and self._chunked:
            self.relay = Relay(self._transport.write, self._boundary)
        elif not self._chunked:
            self._call.close = True  # HTTP/1.0: the end of the connection ends the body
        fields = self._head.fields
        self._events = b"event-stream" in fields.get(b"content-type", b"") and (
            b"content-encoding" not in fields  # an event of ours would be noise in it
        )

    def write(self, held: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        """Send more of the body, and its end."""
        parts = held
        if self._chunked:
            parts = []
            self._add_chunks(parts, held, ended, trailers)
        if parts:
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def break_off(self, error: CallError) -> None:
        """End a reply that is not complete so that it can't be taken for one that is.

        A stream of events gets one more, where the API has one that makes the SDKs raise; then the
        connection closes within the body. Where its end is the body's end, it is reset.
        """
        call = self._call
        call.close = True
        if self._events and self._chunked and self._boundary.at_boundary():
            dialect = dialect_of(call)
            request_id = call.request_id.decode("latin-1")
            event = error_event(dialect, error.status, error.code, error.message, request_id)
            if event:
                self._transport.write(chunk(event))
        elif self._head.body < 0 and not self._chunked:
            call.downstream.reset()

    def _add_chunks(
        self, parts: list[bytes], held: list[bytes], ended: bool, trailers: Sequence[Header]
    ) -> None:
        """What one read brought is one chunk: their bounds mean nothing (RFC 9112, 7.1)."""
        if held:
            data = held[0] if len(held) == 1 else b"".join(held)
            self._boundary.feed(data)
            parts.append(chunk(data))
        if ended:
            parts.append(response_end(trailers))

    def _own_lines(self) -> bytes:
        call, fields = self._call, self._head.fields
        if b"x-request-id" not in fields and b"x-trace-id" not in fields:
            lines = call.ids
        else:
            lines = self._missing_ids()
        if self._chunked:
            lines += CHUNKED_LINE
        if call.final and b"x-should-retry" not in fields:
            lines += SHOULD_NOT_RETRY
        if call.close:
            lines += UPGRADE_LINES if self._head.status == 101 else CLOSE_LINE
        elif call.head.minor == 0:
            lines += KEEP_ALIVE_LINE
        return lines

    def _missing_ids(self) -> bytes:
        """A provider's own request id is the one that its support asks for: it stays."""
        fields = self._head.fields
        lines = b"" if b"x-request-id" in fields else b"\r\nx-request-id: " + self._call.request_id
        if b"x-trace-id" not in fields:
            lines += b"\r\nx-trace-id: " + self._call.trace.trace_id
        return lines


def dialect_of(call: Call) -> Dialect:
    """The API whose errors the caller understands."""
    if call.route is not None:
        return call.route.upstream.dialect
    return of_request(call.head.target, call.head.fields)


def answer_here(call: Call) -> None:
    """Answer what may be forwarded no further (RFC 9110, section 7.6.2) as its last recipient."""
    if call.head.method == b"TRACE":
        raise TraceRefused("TRACE ends here, by its Max-Forwards, and is not answered here")
    call.status = 200
    call.first_byte = time.monotonic()
    lines = call.ids + b"\r\nContent-Length: 0" + _persistence(call)
    call.downstream.transport.write(b"HTTP/1.1 200 OK" + lines + b"\r\n\r\n")


def send_error(call: Call, error: CallError) -> None:
    """Send a whole reply of ours that tells *error* in the caller's dialect."""
    call.status = error.status
    call.first_byte = time.monotonic()
    request_id = call.request_id.decode("latin-1")
    body = error_body(dialect_of(call), error.status, error.code, error.message, request_id)
    lines = call.ids
    if call.final:
        lines += SHOULD_NOT_RETRY
    if error.retry_after is not None:
        lines += _retry_after(error.retry_after)
    head = error_head(error, len(body)) + lines + _persistence(call) + b"\r\n\r\n"
    call.downstream.transport.write(head if call.head.method == b"HEAD" else head + body)


def _persistence(call: Call) -> bytes:
    if call.close:
        return CLOSE_LINE
    return KEEP_ALIVE_LINE if call.head.minor == 0 else b""


def _retry_after(seconds: float) -> bytes:
    """In whole seconds for everybody (RFC 9110, 10.2.3), in milliseconds for the SDKs."""
    return b"\r\nRetry-After: %d\r\nretry-after-ms: %d" % (ceil(seconds), ceil(seconds * 1e3))


def error_head(error: CallError, length: int) -> bytes:
    """Status line and headers that every error of ours has."""
    reason = _REASONS.get(error.status, b"Error")
    return (
        b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nContent-Length: %d"
        b"\r\nx-sidecar-error: %b" % (error.status, reason, length, error.code.encode())
    )
