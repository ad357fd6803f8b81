"""The one place that writes to the application: a reply's head, framing and end downstream."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

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
from sidecar.llm.dialects import error_event
from sidecar.proxy.exchange.backlog import unsent
from sidecar.proxy.exchange.relay import Relay
from sidecar.proxy.local import dialect_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from sidecar.errors import CallError
    from sidecar.proxy.call import Call
    from sidecar.proxy.sink import Feeder

SHOULD_NOT_RETRY: Final = b"\r\nx-should-retry: false"
"""The OpenAI and Anthropic SDKs obey it (`_should_retry` in their `_base_client.py`)."""


class Connection(Protocol):
    """The application's connection, as a reply sees it."""

    transport: asyncio.Transport
    writable: bool
    """False while the send buffer is full."""

    def reset(self) -> None:
        """Close the connection with a reset, once all that was written is sent."""


class ClientSink:
    """Writes one reply to the application's connection, one write for each read upstream."""

    __slots__ = (
        "_boundary", "_call", "_chunked", "_connection", "_events", "_head", "feeder", "relay",
    )  # fmt: skip

    def __init__(self, call: Call, connection: Connection) -> None:
        self._call = call
        self._connection = connection
        self._chunked = False
        self._events = False
        self.feeder: Feeder | None = None
        self.relay: Relay | None = None

    def __repr__(self) -> str:
        return f"<ClientSink of {self._call!r}>"

    @property
    def writable(self) -> bool:
        """False while the send buffer is full."""
        return self._connection.writable

    def interim(self, head: ResponseHead) -> None:
        """Send a 1xx, unless the caller speaks HTTP/1.0 (RFC 9110, section 15.2).

        None follows a head: the sidecar may have sent its own.
        """
        transport = self._connection.transport
        if self._call.head.minor and not self._call.status and not transport.is_closing():
            transport.write(status_line(head) + response_lines(head) + b"\r\n\r\n")

    def begin(
        self, head: ResponseHead, data: list[bytes], ended: bool, trailers: Sequence[Header]
    ) -> None:
        """Send the head and the first bytes of the body. No retry is possible from here on."""
        call = self._call
        self._head = head
        call.status = head.status
        call.first_byte = time.monotonic()
        self._chunked = head.body < 0 and call.head.minor == 1
        if head.body < 0:
            self._begin_stream(head)
        parts = [status_line(head), response_lines(head), self._own_lines(head), b"\r\n\r\n"]
        if self._chunked:
            self._add_chunks(parts, data, ended, trailers)
        else:
            parts += data
        self._connection.transport.write(b"".join(parts))

    def _begin_stream(self, head: ResponseHead) -> None:
        self._boundary = Boundary()
        if head.body == CHUNKED and self._chunked:
            self.relay = Relay(self._connection.transport.write, self._boundary)
        elif not self._chunked:
            self._call.close = True  # HTTP/1.0: the end of the connection ends the body
        fields = head.fields.known
        self._events = b"event-stream" in fields.get(b"content-type", b"") and (
            b"content-encoding" not in fields  # an event of ours would corrupt it
        )

    def write(self, data: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        """Send more of the body, and its end if *ended*."""
        parts = data
        if self._chunked:
            parts = []
            self._add_chunks(parts, data, ended, trailers)
        if parts:
            self._connection.transport.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def break_off(self, error: CallError) -> None:
        """End an incomplete reply so that it does not look complete.

        A stream of events gets an error event, if the API has one that makes the SDKs raise. Then
        the connection closes within the body. If a close would end the body, it is reset.
        """
        call = self._call
        call.close = True
        if self._events and self._chunked and self._boundary.at_boundary():
            dialect = dialect_of(call)
            request_id = call.request_id.decode("latin-1")
            event = error_event(dialect, error.status, error.code, error.message, request_id)
            if event:
                self._connection.transport.write(chunk(event))
        elif self._head.body < 0 and not self._chunked:
            self._connection.reset()

    def half_close(self) -> bool:
        """End our side of a tunnel. TCP allows that, TLS does not."""
        transport = self._connection.transport
        if not transport.can_write_eof():
            return False
        transport.write_eof()
        return True

    def unsent(self) -> int:
        """Bytes that the caller has not read."""
        return unsent(self._connection.transport)

    def _add_chunks(
        self, parts: list[bytes], data: list[bytes], ended: bool, trailers: Sequence[Header]
    ) -> None:
        """Send one read as one chunk: chunk boundaries have no meaning (RFC 9112, 7.1)."""
        if data:
            joined = data[0] if len(data) == 1 else b"".join(data)
            self._boundary.feed(joined)
            parts.append(chunk(joined))
        if ended:
            parts.append(response_end(trailers))

    def _own_lines(self, head: ResponseHead) -> bytes:
        call, fields = self._call, head.fields.known
        if b"x-request-id" not in fields and b"x-trace-id" not in fields:
            lines = call.ids
        else:
            lines = self._missing_ids(head)
        if call.told:
            lines += call.told
        if self._chunked:
            lines += CHUNKED_LINE
        if call.final and b"x-should-retry" not in fields:
            lines += SHOULD_NOT_RETRY
        if call.close:
            lines += UPGRADE_LINES if head.status == 101 else CLOSE_LINE
        elif call.head.minor == 0:
            lines += KEEP_ALIVE_LINE
        return lines

    def _missing_ids(self, head: ResponseHead) -> bytes:
        """A provider's own request id stays, because the provider's support asks for it."""
        fields = head.fields.known
        lines = b"" if b"x-request-id" in fields else b"\r\nx-request-id: " + self._call.request_id
        if b"x-trace-id" not in fields:
            lines += b"\r\nx-trace-id: " + self._call.trace.trace_id
        return lines
