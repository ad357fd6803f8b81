"""One attempt's request sent, and its reply received, on one upstream connection.

It moves through sending (the body still streams), waiting (for the head), receiving (the body) and
over; `_phase` names the timer that runs. Data flows by callbacks: no task wakes for a chunk.
"""

from __future__ import annotations

import asyncio
import sys
import time
from math import inf
from typing import TYPE_CHECKING, Final

from sidecar.errors import (
    BadMessage,
    BadReply,
    CallError,
    CallerStalled,
    DeadlineExceeded,
    TimedOut,
)
from sidecar.http.headers import chunk, request_end, response_lines, status_line
from sidecar.http.message import CHUNKED, Header, ResponseHead
from sidecar.http.semantics import keep_alive_limit
from sidecar.policy.timeouts import Timers, first_byte, within
from sidecar.proxy.backlog import unsent
from sidecar.proxy.body import UPSTREAM_FULL
from sidecar.proxy.request import request_head
from sidecar.proxy.upload import AT_ONCE, Upload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sidecar.proxy.call import Call
    from sidecar.proxy.relay import Relay
    from sidecar.proxy.reply import Writer
    from sidecar.upstream.connection import UpstreamConnection
    from sidecar.upstream.held import Held

_HELD: Final = 256 * 1024
"""Bytes of a reply that may wait for somebody to take them, before reading pauses."""
_INTERIMS: Final = 100
"""How many 1xx a reply may have before its head: they are passed on without back-pressure."""


class Exchange:
    """Takes the connection's events. Ends exactly once, in `_settle`."""

    head: ResponseHead
    """Of the reply; there from the moment that `arrival` is done without an error."""
    trailers: Sequence[Header] = ()
    ended = False
    """The reply is complete."""
    error: CallError | None = None
    """Why it never will be."""
    _half_closed = False
    """One side of a tunnel has ended."""
    tunnel = False
    """The protocol was switched: bytes flow both ways until one side ends."""
    interims = b""
    """1xx that wait for it to be known whether this attempt's reply is the one that is sent."""
    _answered = False
    _sent = False
    _upload: Upload | None = None
    """What is left of a large body that is held."""
    _passed = 0
    _relay: Relay | None = None
    settled = False
    """Over: the connection is back in its pool, or closed."""
    _paused = False
    _writer: Writer | None = None
    _waiter: asyncio.Future[None] | None = None
    _releases: Sequence[Callable[[], None]] = ()
    _phase = ""
    _due = ""
    """Which timer runs out next: that of the phase, or the whole call's."""
    _limit = 0.0
    """Seconds of the phase's timer."""
    _last = 0.0
    _interims = 0
    _backlog = sys.maxsize
    """What the slow reader had not taken when we last looked."""

    def __init__(
        self, call: Call, held: Held, connection: UpstreamConnection, timers: Timers
    ) -> None:
        self.call = call
        self.endpoint = held.endpoint
        self.connection = connection
        self._place = held
        self._timers = timers
        self._held: list[bytes] = []

    def send(self) -> None:
        """Send the request: all of it in one write, or its head and then what comes of its body."""
        call, body = self.call, self.call.body
        self.endpoint.stats.in_flight += 1
        self.connection.begin(self, call.head.method, call.head.upgrade)
        head = request_head(call, self.endpoint.place)
        if body.complete:
            content = body.content() if call.content is None else call.content
            self.endpoint.stats.bytes_out += len(content)
            self._send_held(head, content)
        elif call.head.upgrade:
            self.connection.transport.write(head)
            self._all_sent()
        else:
            self.connection.keep_last_words()
            self.connection.transport.write(head)
            self._last = time.monotonic()
            self._arm(self._timers.idle, "idle")
            body.stream_into(self)

    def _send_held(self, head: bytes, content: bytes) -> None:
        end = b""
        if self.call.head.body == CHUNKED and self.call.content is None:
            end = request_end(self.call.body.trailers)
            if content:
                head, end = head + b"%x\r\n" % len(content), b"\r\n" + end
        if len(content) <= AT_ONCE:
            self.connection.transport.write(head + content + end)
            self._all_sent()
            return
        self.connection.transport.write(head)
        self._upload = Upload(self.connection, content, end)
        self._last = time.monotonic()
        patience = min(self._timers.idle, first_byte(self._timers, self.call.stream))
        self._arm(patience, "upload")
        self._go_on_uploading(self._upload)

    def _go_on_uploading(self, upload: Upload) -> None:
        if upload.go():
            self._upload = None
            self._all_sent()
            if self._answered:
                self._arm(self._timers.idle, "idle")

    def arrival(self) -> asyncio.Future[None]:
        """Done when the reply's head is here, or `error` is set."""
        self._waiter = self.connection.pool.loop.create_future()
        if self._answered or self.error is not None:
            self._waiter.set_result(None)
        return self._waiter

    def write_into(self, writer: Writer) -> None:
        """Write what came of the reply, and from now on what comes."""
        self._writer = writer
        held, self._held = self._held, []
        writer.begin(held, self.ended, self.trailers)
        self._passed += sum(map(len, held))
        if self.ended:
            return
        self._relay = writer.relay
        if self._relay is not None:
            self.connection.take_chunk = self._relay.take
        if self.head.status == 101:
            self.tunnel = True
            self.endpoint.stats.tunnels += 1
            self.connection.wake_at(inf)
            self.call.body.stream_into(self)
        if self.call.downstream.writable:
            self._resume()
        else:
            self._pause()

    @property
    def passed(self) -> int:
        """Bytes of the reply's body that were written downstream."""
        return self._passed + (self._relay.passed if self._relay is not None else 0)

    async def finish(self) -> None:
        """Wait until the reply is complete. Raise CallError if it breaks."""
        if not self.ended and self.error is None:
            self._waiter = self.connection.pool.loop.create_future()
            await self._waiter
        if self.error is not None:
            raise self.error

    def on_settled(self, release: Callable[[], None]) -> None:
        """Call *release* when the reply is complete, or given up: now, if it is."""
        if self.settled:
            release()
        else:
            self._releases = (*self._releases, release)

    def abandon(self) -> None:
        """Nobody wants the reply any more: close the connection at once, in whatever phase."""
        if not self.settled:
            self._settle()
            self.connection.abort()

    def fail(self, error: CallError) -> None:
        """End it for a reason that neither side's connection gave."""
        self.error = error
        self.abandon()
        self._wake()

    # -- the request --

    def _all_sent(self) -> None:
        self._sent = True
        if not self._answered:
            self._arm(first_byte(self._timers, self.call.stream), "first_byte")

    def send_body(self, data: bytes) -> None:
        """Pass on some of a body that streams, or of a tunnel."""
        if self.settled:
            return
        self._last = time.monotonic()
        self.endpoint.stats.bytes_out += len(data)
        framed = chunk(data) if self.call.head.body == CHUNKED else data
        self.connection.transport.write(framed)

    def send_end(self, trailers: Sequence[Header]) -> None:
        """Pass on the end of a body that streams."""
        if self.settled:
            return
        if self.call.head.body == CHUNKED:
            self.connection.transport.write(request_end(trailers))
        self._all_sent()
        if self.ended:
            self._settle_whole()

    def half_close(self) -> None:
        """The application's side of a tunnel has ended."""
        if self.settled:
            return
        if not self._end_direction(self.connection.transport):
            self.ended = True
            self._settle()
            self.connection.close()
            self._wake()

    def on_writable(self, writable: bool) -> None:
        """Pass back-pressure on to the application, whose body streams. `_settle` ends it."""
        if writable:
            self._last = time.monotonic()
            if self._upload is not None:
                self._go_on_uploading(self._upload)
            self.call.downstream.resume_reading(UPSTREAM_FULL)
        else:
            self._backlog = sys.maxsize
            if self.call.body.streamed:
                self.call.downstream.pause_reading(UPSTREAM_FULL)

    # -- the reply --

    def on_interim(self, head: ResponseHead) -> None:
        """Hand on a 1xx (RFC 9110, section 15.2), but 100: we answered that ourselves."""
        self._interims += 1
        if self._interims > _INTERIMS:
            raise BadReply("too many interim replies")
        if head.status == 100 or self.call.head.minor == 0:
            return
        interim = status_line(head) + response_lines(head) + b"\r\n\r\n"
        if self.call.hold_interims:
            if len(self.interims) + len(interim) <= _HELD:
                self.interims += interim
        elif not self.call.downstream.transport.is_closing():
            self.call.downstream.transport.write(interim)

    def on_response(self, head: ResponseHead) -> None:
        """Take the head, which is also the endpoint's result: its body may be long in coming."""
        self.head = head
        self._answered = True
        self._place.answered(head, time.monotonic())

    def on_body(self, data: bytes) -> None:
        """Take some of the body."""
        self._held.append(data)

    def on_response_end(self, trailers: Sequence[Header]) -> None:
        """Take the end."""
        self.ended = True
        self.trailers = trailers

    def on_whole_response(self, head: ResponseHead, body: bytes) -> None:
        """Take all of it at once."""
        self.on_response(head)
        self.ended = True
        if body:
            self._held.append(body)

    def on_read(self) -> None:
        """Act on what one read brought: once, however many events it was."""
        if self.ended:
            if self._sent:
                self._settle_whole()
            elif self._upload is not None:
                self.abandon()  # the server wants no more of the body
        if not self._answered:
            return
        if self._writer is not None:
            self._last = time.monotonic()
            self._pass_on(self._writer)
        elif not self.ended:
            self._last = time.monotonic()
            if self._phase == "first_byte":
                self._arm(self._timers.idle, "idle")
            if len(self._held) > 1 and sum(map(len, self._held)) > _HELD:
                self._pause()
        if self._writer is None or self.ended:
            self._wake()

    def _pass_on(self, writer: Writer) -> None:
        held, self._held = self._held, []
        writer.write(held, self.ended, self.trailers)
        self._passed += sum(map(len, held))

    def on_lost(self, error: CallError) -> None:
        """The connection ended before the reply did."""
        if self.tunnel:
            self.ended = True
        elif not self.ended:  # a whole reply stays one, whatever comes behind it
            self.error = error
        self._settle()
        self._wake()

    def on_eof(self) -> bool:
        """The server's side of a tunnel has ended. True to go on with the other direction."""
        return self.tunnel and self._end_direction(self.call.downstream.transport)

    def _end_direction(self, onward: asyncio.Transport) -> bool:
        """Pass on the end of one direction of a tunnel. False when it was the last one."""
        if self._half_closed or not onward.can_write_eof():
            return False
        self._half_closed = True
        onward.write_eof()
        return True

    def on_downstream_writable(self, writable: bool) -> None:
        """Pass back-pressure on to the server."""
        if self.settled or self._writer is None:
            return
        if writable:
            self._last = time.monotonic()
            self._resume()
        else:
            self._backlog = sys.maxsize
            self._pause()

    def _pause(self) -> None:
        if not self._paused and not self.settled:
            self._paused = True
            self.connection.transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self.settled:
            self._paused = False
            self.connection.transport.resume_reading()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # -- timers --

    def _arm(self, seconds: float, name: str, wait: float | None = None) -> None:
        """Start the timer *name* of *seconds*, of which *wait* are left."""
        self._phase = self._due = name
        self._limit = seconds
        left = seconds if wait is None else wait
        now = time.monotonic()
        if self.call.deadline is not None:
            left, self._due = within(left, name, self.call.deadline, now)
        self.connection.wake_at(now + left)

    def on_time(self) -> None:
        """A timer ran out. Two of them only count from the last progress on."""
        left = self._idle_left(self._limit) if self._due in ("idle", "upload") else 0.0
        if left > 0:
            self._arm(self._limit, self._due, left)
        else:
            self.fail(self._timed_out(self._due, self._limit))

    def _idle_left(self, seconds: float) -> float:
        """Seconds that are left; a slow reader who takes what it was sent makes progress too."""
        reader = self.call.downstream if self._sent else self.connection
        backlog = 0 if reader.writable else unsent(reader.transport)
        if backlog < self._backlog and backlog:
            self._last = time.monotonic()
        self._backlog = backlog
        last = self._last if self._relay is None else max(self._last, self._relay.last)
        return last + seconds - time.monotonic()

    def _timed_out(self, name: str, seconds: float) -> CallError:
        if name == "total":
            return DeadlineExceeded("the call's total time is over")
        if name == "first_byte":
            message = f"{self.endpoint.name} sent no reply within {seconds:g} s"
            return TimedOut(message, code="first_byte_timeout")
        if name == "upload":
            message = f"{self.endpoint.name} took nothing of the request for {seconds:g} s"
            return TimedOut(message, code="first_byte_timeout")
        if not self._answered and not self._sent and self.connection.writable:
            message = f"nothing of the request's body came for {seconds:g} s"
            return BadMessage(message, status=408, code="request_timeout")
        if not self.call.downstream.writable:
            return CallerStalled(f"the caller took nothing for {seconds:g} s")
        message = f"{self.endpoint.name} was silent for {seconds:g} s"
        return TimedOut(message, code="idle_timeout")

    # -- the end --

    def _settle_whole(self) -> None:
        """The reply is complete: the connection can serve the next call where both sides agree."""
        if self.settled:
            return
        self._settle()
        head, connection = self.head, self.connection
        if b"keep-alive" in head.fields:
            connection.idle_limit = keep_alive_limit(head.fields[b"keep-alive"])
        connection.end(head.keep_alive and head.status != 101)

    def _settle(self) -> None:
        if self.settled:
            return
        if self._paused:
            self._resume()
        self.settled = True
        self._upload = None
        if self.call.body.streamed:
            self.call.body.stop_streaming()
            self.call.downstream.resume_reading(UPSTREAM_FULL)
        stats = self.endpoint.stats
        stats.in_flight -= 1
        if self.tunnel:
            stats.tunnels -= 1
        stats.attempts[self.head.status if self._answered else 0] += 1
        stats.bytes_in += self.passed + sum(map(len, self._held))
        if self.error is not None:
            stats.errors[self.error.code] += 1
        if self._answered:
            if self.error is not None and self.error.endpoint_failed:
                self._place.broke(time.monotonic())
            self._place.release()
        for release in self._releases:
            release()
