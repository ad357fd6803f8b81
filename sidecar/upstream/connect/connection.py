"""One connection to an endpoint: bytes to and from the exchange that uses it."""

from __future__ import annotations

import asyncio
import contextlib
import select
import time
from math import inf
from typing import TYPE_CHECKING, Protocol, cast

from sidecar.errors import (
    BadReply,
    CallError,
    CertificateRefused,
    Reset,
    Truncated,
    forget_frames,
)
from sidecar.http.message import ResponseSink
from sidecar.http.response_parser import ResponseParser
from sidecar.upstream.connect.early_reply import EarlyReply
from sidecar.upstream.connect.keepalive import give_up_unanswered
from sidecar.upstream.connect.tls import refusal_of_ours

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.upstream.connect.pool import Pool


class Exchange(ResponseSink, Protocol):
    """The user of a connection. It takes the response's events, and these."""

    ended: bool
    """The response is complete."""

    def on_read(self) -> None:
        """Act on the events of one read, which were all delivered."""

    def on_lost(self, error: CallError) -> None:
        """Take it that the connection ended before the response did."""

    def on_eof(self) -> bool:
        """Take it that the server sends no more. Return True to keep the other direction open."""

    def on_writable(self, writable: bool) -> None:
        """Take it that the connection's send buffer filled up, or has room again."""

    def on_time(self) -> None:
        """Act on the time that `wake_at` was given."""


class UpstreamConnection(asyncio.Protocol):
    """States: idle (no exchange), busy (an exchange), closed. `pool` keeps count of all three."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.transport = cast("asyncio.Transport", None)
        self.exchange: Exchange | None = None
        self.take_chunk: Callable[[bytes], bool] | None = None
        """Called first with a read between two chunks; returns whether it took it as a chunk."""
        self.parser = cast("ResponseParser", None)
        """Made with the transport: many connections are never established."""
        self.created = time.monotonic()
        self.idle_since = 0.0
        self.idle_limit = float("inf")
        """Seconds after which the server said that it closes an idle connection."""
        self.uses = 0
        self.answered = False
        """Whether a byte came since the exchange began."""
        self.writable = True
        self.closed = False
        self._stray = False
        """Whether anything came behind the reply, be it the connection's end."""
        self._poll: select.poll | None = None
        """Made when the connection is used for the second time."""
        self._patient = False
        self._early_reply: EarlyReply | None = None
        """Present while the request's body is sent piece by piece."""
        self.peer = ""
        self._wake_at = inf
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        """When the timer fires; inf while there is none."""

    def __repr__(self) -> str:
        state = "CLOSED" if self.closed else "IDLE" if self.exchange is None else "BUSY"
        return f"<UpstreamConnection {state} to {self.peer or 'nobody yet'}, use {self.uses}>"

    # -- what the exchange calls --

    def begin(self, exchange: Exchange, method: bytes, upgrade: bool) -> None:
        """Hand the connection to *exchange*, which sends a request with *method* next."""
        self.exchange = exchange
        self._wake_at = inf
        self.answered = False
        self.uses += 1
        self.parser.sink = exchange
        self.parser.expect(method, upgrade)

    def quiet(self) -> bool:
        """Whether nothing came since the last reply: no second reply, and no FIN.

        What arrived a moment ago may not have been read yet; the next call must not take it for its
        own reply (RFC 9112, section 9.2). Costs 0.7 us.
        """
        if self._poll is None:
            sock = self.transport.get_extra_info("socket")
            if sock is None:  # TLS that is lost has none
                return False
            self._poll = select.poll()
            self._poll.register(sock.fileno(), select.POLLIN)
        return not self._poll.poll(0)

    def be_patient(self) -> None:
        """Let the server keep its receive window shut for as long as it likes.

        What was sent may be more than it takes before it reads, and a server that does one call
        after another reads late.
        """
        if not self._patient:
            self._patient = True
            sock = self.transport.get_extra_info("socket")
            if sock is not None:  # TLS that is lost has none
                give_up_unanswered(sock, 0)

    def keep_early_reply(self) -> None:
        """Prepare for a long upload: the server may answer and close before it is all sent."""
        with contextlib.suppress(OSError):  # no descriptor is left: then it goes without
            self._early_reply = EarlyReply(self.transport)

    def forget_early_reply(self) -> None:
        """Note that all was written. If the kernel took all of it, no write can fail any more."""
        words, transport = self._early_reply, self.transport
        if words is not None and not (transport.is_closing() or transport.get_write_buffer_size()):
            words.close()
            self._early_reply = None

    def wake_at(self, when: float) -> None:
        """Call the exchange's `on_time` at *when* (monotonic seconds) instead of when it was to be.

        A timer that fires earlier stays, and is set anew then: since hardly any call's time runs
        out, hardly any call sets one.
        """
        self._wake_at = when
        if when < self._timer_at:
            self._set_timer(when)

    def end(self, reusable: bool) -> None:
        """End the exchange: return the connection to the pool, or close it if it is not reusable.

        A server may have answered before it took all of the request. What it has not taken by now
        would stand before the next request, and hide from it that the send buffer is full.
        """
        self._let_go()
        if reusable and self.writable and not self.closed and not self._stray:
            self.pool.release(self)
        else:
            self.abort()

    def abort(self) -> None:
        """Close at once: what the server may still send is not wanted."""
        self._let_go()
        if not self.closed:
            self._gone()
            self.transport.abort()

    def close(self) -> None:
        """Close once all that was written is sent."""
        self._let_go()
        if not self.closed:
            self._gone()
            self.transport.close()

    def half_close(self) -> bool:
        """Send no more, but go on receiving. False where the transport can't: TLS."""
        if not self.transport.can_write_eof():
            return False
        self.transport.write_eof()
        return True

    def discard_unused(self) -> None:
        """Close a connection that is still being made and is not wanted; the pool is not told."""
        self.closed = True
        if self.transport is not None:
            self.parser.close()
            self.transport.abort()
            # uvloop's keeps its protocol where it was aborted before it was set up.
            self.transport = cast("asyncio.Transport", None)

    # -- asyncio.Protocol --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport and where it goes."""
        self.transport = cast("asyncio.Transport", transport)
        self.parser = ResponseParser(cast("Exchange", None))
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else str(peer)
        if self.closed:  # orphaned while it was being made
            self.discard_unused()

    def data_received(self, data: bytes) -> None:
        """Parse into the exchange; then let it act once on all that came."""
        take_chunk = self.take_chunk
        if take_chunk is not None and self.parser.between_chunks and take_chunk(data):
            return
        exchange = self.exchange
        if exchange is None:
            self.abort()  # an answer to nothing (RFC 9112, section 9.2)
            return
        self.answered = True
        try:
            self.parser.feed(data)
        except BadReply as error:
            forget_frames(error)
            if not exchange.ended:
                self._fail(error)
                return
            self._stray = True  # the reply is complete, and what came behind it answers nothing
        exchange.on_read()

    def eof_received(self) -> bool:
        """Complete a reply that ends with its connection."""
        exchange = self.exchange
        if exchange is None:
            return False
        if self.parser.end_of_stream():
            exchange.on_read()
            return False
        return exchange.on_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the exchange that was not complete."""
        if self._early_reply is not None and exc is not None:
            self._hear(self._early_reply)
        reason = f": {exc}" if exc else ""
        refused = refusal_of_ours(exc)
        if refused is not None:
            self._fail(CertificateRefused(f"the server refused our client certificate: {refused}"))
        elif self.answered:
            self._fail(
                Truncated(f"the server closed the connection before the end of its reply{reason}")
            )
        else:
            self._fail(Reset(f"the server closed the connection without a reply{reason}"))

    def pause_writing(self) -> None:
        """Tell the exchange that the send buffer is full."""
        self.writable = False
        if self.exchange is not None:
            self.exchange.on_writable(False)

    def resume_writing(self) -> None:
        """Tell the exchange that the send buffer has room."""
        self.writable = True
        if self.exchange is not None:
            self.exchange.on_writable(True)

    def _hear(self, last_words: EarlyReply) -> None:
        """Parse what the server sent before a write of ours failed; do not reuse the connection."""
        self._stray = True
        data = last_words.read()
        if data:
            self.data_received(data)
        if last_words.ended:
            self.eof_received()

    def _fail(self, error: CallError) -> None:
        exchange = self.exchange
        self._let_go()
        if not self.closed:
            self._gone()
            self.transport.abort()
        if exchange is not None:
            exchange.on_lost(error)

    def _set_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = self.pool.loop.call_later(max(0.0, when - time.monotonic()), self._fired)

    def _fired(self) -> None:
        self._timer, self._timer_at = None, inf
        if self.exchange is None or self._wake_at == inf:
            return
        if self._wake_at <= time.monotonic():
            self.exchange.on_time()
        else:
            self._set_timer(self._wake_at)

    def _let_go(self) -> None:
        """Let go of the exchange: an idle connection must not keep its call and body alive."""
        self.exchange = self.parser.sink = cast("Exchange", None)
        self.take_chunk = None
        if self._early_reply is not None:
            self._early_reply.close()
            self._early_reply = None

    def _gone(self) -> None:
        self.closed = True
        self.parser.close()
        if self._timer is not None:
            self._timer.cancel()
        self.pool.discard(self)
