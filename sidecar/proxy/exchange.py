"""One attempt's request sent, and its reply received, on one upstream connection.

It moves through sending (the body still streams), waiting (for the head), receiving (the body) and
over; `_phase` names the timer that runs. Data flows by callbacks: no task wakes for a chunk.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from sidecar.errors import AttemptError, BadMessage, CallError, TimedOut, Truncated
from sidecar.http.headers import (
    CHUNKED_LINE,
    UPGRADE_LINES,
    chunk,
    last_chunk,
    request_lines,
    response_lines,
    status_line,
)
from sidecar.http.message import CHUNKED, Header, ResponseHead
from sidecar.policy.timeouts import Timers, first_byte, within
from sidecar.proxy.body import UPSTREAM_FULL

if TYPE_CHECKING:
    from sidecar.proxy.call import Call
    from sidecar.proxy.reply import ReplyWriter
    from sidecar.upstream.connection import UpstreamConnection
    from sidecar.upstream.endpoint import Endpoint

_HELD: Final = 256 * 1024
"""Bytes of a reply that may wait for somebody to take them, before reading pauses."""


class Exchange:
    """Takes the connection's events. Ends exactly once, in `_settle`."""

    __slots__ = (
        "_backlog",
        "_held",
        "_last",
        "_paused",
        "_phase",
        "_sent",
        "_settled",
        "_timer",
        "_timers",
        "_waiter",
        "_writer",
        "call",
        "connection",
        "ended",
        "endpoint",
        "error",
        "head",
        "trailers",
        "tunnel",
    )

    def __init__(
        self, call: Call, endpoint: Endpoint, connection: UpstreamConnection, timers: Timers
    ) -> None:
        self.call = call
        self.endpoint = endpoint
        self.connection = connection
        self.head: ResponseHead | None = None
        self.trailers: list[Header] = []
        self.ended = False
        """The reply is complete."""
        self.error: CallError | None = None
        """Why it never will be."""
        self._timers = timers
        self._held: list[bytes] = []
        self._writer: ReplyWriter | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._phase = "idle"
        self._backlog = 0
        self._paused = False
        self._last = 0.0
        self._sent = False
        self._settled = False
        self.tunnel = False
        """The protocol was switched: bytes flow both ways until one side ends."""

    async def run(self) -> ResponseHead:
        """Send the request and wait for the reply's head. Raise AttemptError if none comes."""
        self.connection.begin(self, self.call.head.method, self.call.head.upgrade)
        self._send()
        await self._wait()
        if self.error is not None:
            raise self.error
        if self.head is None:
            raise AttemptError("no reply")
        return self.head

    async def deliver(self, writer: ReplyWriter) -> None:
        """Pump the reply into *writer* until it has all of it. Raise CallError if it breaks."""
        self._writer = writer
        held, self._held = self._held, []
        head = self.head
        self.tunnel = head is not None and head.status == 101
        writer.begin(held, self.ended, self.trailers)
        self._count(held)
        if self.ended:
            return
        if self.error is None:
            if self.tunnel:
                self._stop_timer()
                self.call.body.stream_into(self)
            if self.call.downstream.writable:
                self._resume()
            else:
                self._pause()
            await self._wait()
        if self.error is not None:
            raise self.error

    def abandon(self) -> None:
        """Nobody wants the reply any more: close the connection at once, in whatever phase."""
        if not self._settled:
            self._settle(0)
            self.connection.abort()

    # -- the request --

    def _send(self) -> None:
        call, body = self.call, self.call.body
        head = self._request_head()
        if body.complete or call.head.upgrade:
            content = body.content() if body.complete else b""
            if call.head.body == CHUNKED:
                content = (chunk(content) if content else b"") + last_chunk(body.trailers)
            self.connection.transport.write(head + content)
            self.endpoint.stats.bytes_out += body.size
            self._all_sent()
        else:
            self.connection.transport.write(head)
            self._arm(self._timers.idle, "idle")
            self._last = time.monotonic()
            body.stream_into(self)

    def _request_head(self) -> bytes:
        call, place = self.call, self.endpoint.place
        lines = call.lines
        if lines is None:
            replaced = call.credential[0] if call.credential else None
            lines = call.lines = request_lines(call.head, replaced) + _own_lines(call)
        trace = call.trace
        return b"%b %b%b HTTP/1.1\r\nHost: %b%b\r\ntraceparent: %b\r\n\r\n" % (
            call.head.method,
            place.base,
            call.target,
            place.authority,
            lines,
            trace.traceparent(trace.child()),
        )

    def _all_sent(self) -> None:
        self._sent = True
        if self.head is None and not self.ended:
            self._arm(first_byte(self._timers, self.call.stream), "first_byte")

    def send_body(self, data: bytes) -> None:
        """Pass on some of a body that streams, or of a tunnel."""
        if self._settled:
            return
        self._last = time.monotonic()
        self.endpoint.stats.bytes_out += len(data)
        framed = chunk(data) if self.call.head.body == CHUNKED else data
        self.connection.transport.write(framed)

    def send_end(self, trailers: list[Header]) -> None:
        """Pass on the end of a body that streams."""
        if self._settled:
            return
        if self.call.head.body == CHUNKED:
            self.connection.transport.write(last_chunk(trailers))
        self._all_sent()
        if self.ended:
            self._settle_whole()

    def half_close(self) -> None:
        """The application's side of a tunnel has ended."""
        transport = self.connection.transport
        if self._settled:
            return
        if transport.can_write_eof():
            transport.write_eof()
        else:
            self.abandon()
            self._wake()

    def on_writable(self, writable: bool) -> None:
        """Pass back-pressure on to the application."""
        if writable:
            self._last = time.monotonic()
            self.call.downstream.resume_reading(UPSTREAM_FULL)
        else:
            self.call.downstream.pause_reading(UPSTREAM_FULL)

    # -- the reply --

    def on_interim(self, head: ResponseHead) -> None:
        """Hand on a 1xx (RFC 9110, section 15.2), but 100: we answered that ourselves."""
        if head.status != 100 and self.call.head.minor == 1:
            interim = status_line(head) + response_lines(head) + b"\r\n\r\n"
            self.call.downstream.transport.write(interim)

    def on_response(self, head: ResponseHead) -> None:
        """Take the head."""
        self.head = head

    def on_body(self, data: bytes) -> None:
        """Take some of the body."""
        self._held.append(data)

    def on_response_end(self, trailers: list[Header]) -> None:
        """Take the end."""
        self.ended = True
        self.trailers = trailers

    def on_read(self) -> None:
        """Act on what one read brought: once, however many events it was."""
        if self.head is None:
            return
        self._last = time.monotonic()
        if self._phase == "first_byte" and not self.ended:
            self._arm(self._timers.idle, "idle")
        writer = self._writer
        if writer is None:
            if len(self._held) > 1 and sum(map(len, self._held)) > _HELD:
                self._pause()
        else:
            held, self._held = self._held, []
            self._count(held)
            writer.write(held, self.ended, self.trailers)
        if self.ended and self._sent:
            self._settle_whole()
        if writer is None or self.ended:
            self._wake()

    def on_lost(self, error: CallError) -> None:
        """The connection ended before the reply did."""
        if self.tunnel:
            self.ended = True
        else:
            self.error = error
        self._settle(0 if self.head is None else self.head.status)
        self._wake()

    def on_downstream_writable(self, writable: bool) -> None:
        """Pass back-pressure on to the server."""
        if self._settled or self._writer is None:
            return
        if writable:
            self._last = time.monotonic()
            self._resume()
        else:
            self._pause()

    def on_eof(self) -> bool:
        """The server's side of a tunnel has ended. True to go on with the other direction."""
        transport = self.call.downstream.transport
        if not self.tunnel or not transport.can_write_eof():
            return False
        transport.write_eof()
        return True

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self.connection.transport.pause_reading()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self.connection.transport.resume_reading()

    def _count(self, held: list[bytes]) -> None:
        size = sum(map(len, held)) if len(held) != 1 else len(held[0])
        self.call.bytes_out += size
        self.endpoint.stats.bytes_in += size

    # -- waiting, timers, the end --

    async def _wait(self) -> None:
        if self.error is None and not self.ended:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _arm(self, seconds: float, name: str, wait: float | None = None) -> None:
        """Start the timer *name* of *seconds*, of which *wait* are left."""
        self._stop_timer()
        left = seconds if wait is None else wait
        due = within(left, name, self.call.deadline, time.monotonic())
        self._phase = name
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(due.seconds, self._expired, due.name, seconds)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self, name: str, seconds: float) -> None:
        """A timer ran out. The idle timer only counts from the last progress on."""
        left = self._idle_left(seconds) if name == "idle" else 0.0
        if left > 0:
            self._arm(seconds, "idle", left)
        else:
            self.fail(self._timed_out(name, seconds))

    def _idle_left(self, seconds: float) -> float:
        backlog = self.call.downstream.transport.get_write_buffer_size()
        if backlog < self._backlog:  # a slow caller takes what it was sent: that is progress
            self._last = time.monotonic()
        self._backlog = backlog
        return self._last + seconds - time.monotonic()

    def _timed_out(self, name: str, seconds: float) -> CallError:
        if name == "total":
            return TimedOut("the call's total time is over", code="total_timeout")
        if name == "first_byte":
            message = f"{self.endpoint.name} sent no reply within {seconds:g} s"
            return TimedOut(message, code="first_byte_timeout")
        if self.head is None and not self._sent and self.connection.writable:
            message = f"nothing of the request's body came for {seconds:g} s"
            return BadMessage(message, status=408, code="request_timeout")
        if not self.call.downstream.writable:
            return Truncated(f"the caller took nothing for {seconds:g} s", code="caller_stalled")
        message = f"{self.endpoint.name} was silent for {seconds:g} s"
        return TimedOut(message, code="idle_timeout")

    def fail(self, error: CallError) -> None:
        """End it for a reason that neither side's connection gave."""
        self.error = error
        self.abandon()
        self._wake()

    def _settle_whole(self) -> None:
        """The reply is complete: the connection can serve the next call where both sides agree."""
        head = self.head
        if self._settled or head is None:
            return
        self._settle(head.status)
        self.connection.idle_limit = _keep_alive_limit(head)
        self.connection.end(head.keep_alive and self._sent and head.status != 101)

    def _settle(self, status: int) -> None:
        if self._settled:
            return
        self._settled = True
        self._stop_timer()
        if self.call.body.streamed:
            self.call.body.stop_streaming()
            self.call.downstream.resume_reading(UPSTREAM_FULL)
        stats = self.endpoint.stats
        stats.in_flight -= 1
        stats.attempts[status] += 1
        if self.error is not None:
            stats.errors[self.error.code] += 1


def _own_lines(call: Call) -> bytes:
    """Header lines of ours that are the same for every attempt, after the caller's."""
    trace = call.trace
    lines = b"\r\nx-request-id: %b\r\nx-trace-id: %b" % (call.request_id, trace.trace_id)
    if trace.tracestate is not None:
        lines += b"\r\ntracestate: " + trace.tracestate
    if call.credential is not None:
        lines += call.credential[1]
    if call.head.body == CHUNKED:
        lines += CHUNKED_LINE
    if call.head.upgrade:
        lines += UPGRADE_LINES
    return lines


def _keep_alive_limit(head: ResponseHead) -> float:
    """Seconds that the server keeps an idle connection, less one for the way there."""
    hint = head.fields.get(b"keep-alive")
    if hint is not None:
        for parameter in hint.lower().split(b","):
            name, _, value = parameter.strip().partition(b"=")
            if name == b"timeout" and value.isdigit():
                return max(0.0, int(value) - 1.0)
    return float("inf")
