"""One attempt's request sent, and its reply received, on one upstream connection.

Its phase is its `state` (`state.py`). Data flows by callbacks: no task wakes for a chunk. Its
timers are in `timers.py`, and what holds its reply back is in `judged.py`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from math import inf
from typing import TYPE_CHECKING, Final

from sidecar.http.headers import chunk
from sidecar.http.message import CHUNKED, Header, ResponseHead
from sidecar.http.semantics import keep_alive_limit
from sidecar.policy.timeouts import Timers, first_byte
from sidecar.proxy.exchange.commit import BEGUN, HELD, WHOLE, needed
from sidecar.proxy.exchange.halves import Halves
from sidecar.proxy.exchange.interims import Interims
from sidecar.proxy.exchange.judged import JudgedExchange
from sidecar.proxy.exchange.state import (
    EARLY,
    FINISHING,
    NO_REPLY,
    RECEIVING,
    SENDING,
    SETTLED,
    TUNNEL,
    WAITING,
    ExchangeState,
)
from sidecar.proxy.exchange.upload import AT_ONCE, FITS, Upload
from sidecar.proxy.exchange.wire import chunked, end_of_body, framing, request_head

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sidecar.errors import CallError
    from sidecar.proxy.call import Call
    from sidecar.proxy.record import AttemptRecord
    from sidecar.proxy.request import Request
    from sidecar.proxy.sink import Sink
    from sidecar.upstream.connect.connection import UpstreamConnection
    from sidecar.upstream.lease import Lease

_PIECES: Final = 64
"""Reads of a reply that are buffered separately. Beyond that they are joined, because an object for
each small read would take many times its size."""


class Exchange(JudgedExchange):
    """Handles the connection's events. Ends exactly once, in `_settle`. A Reply (`reply.py`)."""

    trailers: Sequence[Header] = ()
    tunnel: asyncio.Transport | None = None
    """The server's transport after a protocol switch; bytes flow until both sides end."""
    _halves: Halves | None = None
    interims: Interims | None = None
    _upload: Upload | None = None
    """The rest of a large buffered body."""
    _passed = 0
    _paused = False
    _waiter: asyncio.Future[None] | None = None
    _releases: Sequence[Callable[[], None]] = ()

    def __init__(
        self,
        call: Call,
        request: Request,
        held: Lease,
        connection: UpstreamConnection,
        timers: Timers,
        attempt: AttemptRecord,
    ) -> None:
        self.state = SENDING
        self.call = call
        self.request = request
        self.attempt = attempt
        self.endpoint = held.endpoint
        self.connection = connection
        self._timers = timers
        self._lease = held
        self._held: list[bytes] = []
        self._size = 0
        """Buffered bytes of the reply's body."""

    def __repr__(self) -> str:
        return f"<Exchange {self.state.name} at {self.endpoint.name} of {self.call!r}>"

    def send(self) -> None:
        """Send the request: all of it in one write, or its head and then its body as it comes."""
        call, request, body = self.call, self.request, self.call.body
        self.endpoint.stats.in_flight += 1
        self.connection.begin(self, request.method, call.head.upgrade)
        self.attempt.span_id = call.trace.child()
        head = request_head(call, request, self.endpoint.origin, self.attempt.span_id)
        if body.complete:
            content = body.content() if request.content is None else request.content
            self.endpoint.stats.bytes_out += len(content)
            self._send_held(head, content)
        elif call.head.upgrade:
            self.connection.transport.write(head)
            self._all_sent()
        else:
            self.connection.be_patient()
            self.connection.keep_early_reply()
            self.connection.transport.write(head)
            self._last = time.monotonic()
            self._arm(self._timers.idle, "idle")
            body.stream_into(self)

    def _send_held(self, head: bytes, content: bytes) -> None:
        end = b""
        if self.call.head.body == CHUNKED:
            begins, end = framing(self.call, self.request, len(content))
            head += begins
        if len(content) > FITS:
            self.connection.be_patient()
        if len(content) <= AT_ONCE:
            self.connection.transport.write(head + content + end)
            self._all_sent()
            return
        self.connection.transport.write(head)
        self._upload = Upload(self.connection, content, end)
        self._last = time.monotonic()
        patience = min(self._timers.idle, first_byte(self._timers))
        self._arm(patience, "upload")
        self.connection.keep_early_reply()
        self._go_on_uploading(self._upload)

    def _go_on_uploading(self, upload: Upload) -> None:
        if upload.go():
            self._upload = None
            self.connection.forget_early_reply()
            self._all_sent()
            if self.state is RECEIVING:
                self._arm(self._timers.idle, "idle")

    def arrival(self) -> asyncio.Future[None]:
        """Return a future: done when enough of the reply is here (`commit`), or `error` is set."""
        self._waiter = self.connection.pool.loop.create_future()
        if self.error is not None or (self.state not in NO_REPLY and self._has_come()):
            self._waiter.set_result(None)
        return self._waiter

    def write_into(self, sink: Sink) -> None:
        """Write what has arrived of the reply, and from now on what arrives."""
        if self.interims is not None:
            self.interims.release(sink)
        sink.begin(self.head, self._take_held(), self.ended, self.trailers)
        if self.ended:
            return
        if self.error is not None:  # it broke after its head arrived
            sink.break_off(self.error)
            return
        self._sink, sink.feeder = sink, self
        self._relay = self._reads(sink.relay)
        if self._relay is not None and self._phase != "first_byte":
            self.connection.take_chunk = self._relay.take
        if self.head.status == 101:
            self._go(TUNNEL)
            self.tunnel, self._halves = self.connection.transport, Halves()
            self._phase = ""
            self.endpoint.stats.tunnels += 1
            self.connection.wake_at(inf)
            self.connection.be_patient()
            self.call.body.stream_into(self)
        if sink.writable:
            self._resume()
        else:
            self._pause()
        if self.reading is not None:
            self._note(self.reading)

    @property
    def settled(self) -> bool:
        """Whether it has ended: the connection is back in its pool, or closed."""
        return self.state is SETTLED

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
        """Call *release* when the exchange settles; at once, if it already has."""
        if self.state is SETTLED:
            release()
        else:
            self._releases = (*self._releases, release)

    def abandon(self) -> None:
        """Close the connection at once, in any state, because the reader has left."""
        if self.state is not SETTLED:
            self._settle()
            self.connection.abort()

    def fail(self, error: CallError) -> None:
        """End it with *error*, which comes from neither connection."""
        self.error = error
        self._break_off(error)
        self.abandon()
        self._wake()

    # -- the request --

    def _go(self, state: ExchangeState) -> None:
        self.state = self.state.to(state)

    def _all_sent(self) -> None:
        if self.state is SENDING:
            self._go(WAITING)
            self._arm(first_byte(self._timers), "first_byte")
        elif self.state is EARLY:
            self._go(RECEIVING)

    def send_body(self, data: bytes) -> None:
        """Pass on *data* of a streamed body or a tunnel."""
        if self.state is SETTLED:
            return
        self._last = time.monotonic()
        self.endpoint.stats.bytes_out += len(data)
        framed = chunk(data) if chunked(self.call, self.request) else data
        self.connection.transport.write(framed)

    def send_end(self, trailers: Sequence[Header]) -> None:
        """Pass on the end of a streamed body."""
        if self.state is SETTLED:
            return
        if chunked(self.call, self.request):
            self.connection.transport.write(end_of_body(self.request, trailers))
        self._all_sent()
        if self.ended:
            self._settle_whole()

    def half_close(self) -> None:
        """The application's side of a tunnel has ended."""
        if self.state is SETTLED:
            return
        if self._halves is None or not self._halves.end(self.connection.half_close):
            self.ended = True
            self._settle()
            self.connection.close()
            self._wake()

    def on_writable(self, writable: bool) -> None:
        """Pass back-pressure on to the application whose body streams. `_settle` ends it."""
        if writable:
            self._last = time.monotonic()
            if self._upload is not None:
                self._go_on_uploading(self._upload)
            self.call.body.resume()
        else:
            self._backlog = sys.maxsize
            if self.call.body.streamed:
                self.call.body.pause()

    # -- the reply --

    def on_interim(self, head: ResponseHead) -> None:
        """Handle a 1xx."""
        if self.interims is None:
            self.interims = Interims(self.call.sink, holds=self.request.holds_interims)
        self.interims.take(head)

    def on_response(self, head: ResponseHead) -> None:
        """Handle the head. Unless more is needed, it is also the endpoint's result."""
        self._head(head)
        self._needed = needed(self.call, self.request, head, self.reading)
        if self._needed != BEGUN and not self._undecided(self._needed):
            self._judge()
        if self._needed == WHOLE and head.status >= 400:
            self._hold_back()

    def _head(self, head: ResponseHead) -> None:
        self.head = head
        reading = None if self.request.reading is None else self.request.reading.begin(head)
        if reading is not None and self.state is SENDING:
            reading.decide()  # the timer is the upload's, and would not open it
        self.reading = reading
        self.attempt.status, self.attempt.fields = head.status, head.fields
        self._go(EARLY if self.state is SENDING else RECEIVING)

    def on_body(self, data: bytes) -> None:
        """Handle *data* of the body."""
        self._held.append(data)
        self._size += len(data)
        if self.reading is not None:
            self.reading.feed(data)

    def on_response_end(self, trailers: Sequence[Header]) -> None:
        """Handle the end."""
        self.ended = True
        self.trailers = trailers

    def on_whole_response(self, head: ResponseHead, body: bytes) -> None:
        """Handle a reply that arrived in one read."""
        self._head(head)
        self.ended = True
        if body:
            self.on_body(body)
        if self.reading is None or not self._undecided(
            needed(self.call, self.request, head, self.reading)
        ):
            self._judge()

    def on_read(self) -> None:
        """Act on one read, once for all of its events."""
        state = self.state
        reading = self.reading
        if reading is not None and reading.pending and self._fails(reading):
            return
        if self.ended and self._judged and state is RECEIVING and self._sink is None:  # as most are
            self._settle_whole()
            self._wake()
            return
        if state in NO_REPLY:
            return
        if not self._judged and self._has_come():
            self._judge()
        if self.ended:
            self._let_go()
        else:
            self._last = time.monotonic()
            if self._held and self._phase in ("first_byte", "gate"):
                self._body_begins()
        self._pass_on()

    def _let_go(self) -> None:
        """The reply is complete."""
        if self.state is not EARLY:
            self._settle_whole()
        elif self._upload is not None:
            self.abandon()  # the server accepts no more of the body
        else:
            self._go(FINISHING)

    def _pass_on(self) -> None:
        """Write what has arrived, or complete `arrival` if that is enough."""
        sink = self._sink
        if sink is not None:
            sink.write(self._take_held(), self.ended, self.trailers)
            if self.reading is not None:
                self._note(self.reading)
        elif not self.ended and len(self._held) > 1:
            if self._size > HELD:
                self._pause()
            if len(self._held) > _PIECES:
                self._held = [b"".join(self._held)]
        if self.ended or (sink is None and self._has_come()):
            self._wake()

    def _take_held(self) -> list[bytes]:
        """Return and clear the buffered data."""
        held, self._held = self._held, []
        self._passed += self._size
        self._size = 0
        return held

    def on_lost(self, error: CallError) -> None:
        """The connection ended before the reply did."""
        if self.state is TUNNEL:
            self.ended = True
        elif not self.ended:  # a complete reply stays complete, whatever follows it
            self.error = error
            self._break_off(error)
        self._settle()
        self._wake()

    def _break_off(self, error: CallError) -> None:
        """Tell the reader, if the reply has begun. Before that, another attempt is possible."""
        if self._sink is not None and not self.ended:
            self._sink.break_off(error)

    def on_eof(self) -> bool:
        """The server's side of a tunnel has ended. Return True if the other direction goes on."""
        sink = self._sink
        return self._halves is not None and sink is not None and self._halves.end(sink.half_close)

    def on_sink_writable(self, writable: bool) -> None:
        """Pass back-pressure on to the server."""
        if self.state is SETTLED:
            return
        if writable:
            self._last = time.monotonic()
            self._resume()
        else:
            self._backlog = sys.maxsize
            self._pause()

    def _pause(self) -> None:
        if not self._paused and self.state is not SETTLED:
            self._paused = True
            self.connection.transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and self.state is not SETTLED:
            self._paused = False
            self.connection.transport.resume_reading()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # -- the end --

    def _settle_whole(self) -> None:
        """The reply is complete: reuse the connection if both sides agree."""
        if self.state is SETTLED:
            return
        self._settle()
        head, connection = self.head, self.connection
        if b"keep-alive" in head.fields.known:
            connection.idle_limit = keep_alive_limit(head.fields[b"keep-alive"])
        connection.end(head.keep_alive and head.status != 101)

    def _settle(self) -> None:
        if self.state is SETTLED:
            return
        if self._paused:
            self._resume()
        self._go(SETTLED)
        self._upload = None
        if self.call.body.streamed:
            self.call.body.stop_streaming()
            self.call.body.resume()
        self._passed, self._relay = self.passed, None  # a relay that reads refers to this
        came = self._passed + self._size
        code = "" if self.error is None else self.error.code
        if self.reading is not None:
            self._finish_reading(self.reading, code)
        self.endpoint.stats.end(self.attempt.status, code, came, self.tunnel is not None)
        self.attempt.ended, self.attempt.error = time.monotonic(), code
        if self._sink is not None:
            self._sink.feeder = None
        if self._judged:
            if self.error is not None and self.error.endpoint_failed:
                self._lease.report_broken(time.monotonic())
            self._lease.release()
        releases, self._releases = self._releases, ()  # they may refer to this exchange
        for release in releases:
            release()
