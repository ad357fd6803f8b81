"""A reply that goes on from one exchange to the next: the stream of a stored response."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from sidecar.errors import (
    AttemptError,
    CallError,
    DeadlineExceeded,
    Truncated,
    forget_frames,
    told_again,
)
from sidecar.policy.homes import Stays
from sidecar.proxy.layers.whole_events import WholeEvents
from sidecar.proxy.record import RESUME

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.llm.failures import Failure
    from sidecar.llm.stored_stream import StoredStream
    from sidecar.observe.stats import RouteStats
    from sidecar.proxy.call import Call
    from sidecar.proxy.exchange.exchange import Exchange
    from sidecar.proxy.layers.attempt import Attempt
    from sidecar.proxy.record import AttemptRecord
    from sidecar.proxy.request import Request
    from sidecar.proxy.sink import Sink

PLAIN: Final = {b"accept-encoding": b"\r\nAccept-Encoding: identity"}
"""Events are found in plain text only."""
_GET: Final = {
    **PLAIN,
    **dict.fromkeys((b"content-type", b"idempotency-key", b"expect", b"last-event-id"), b""),
}
_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 5.0
"""Seconds before a try; each is up to twice as long as the one before."""


class Asked(NamedTuple):
    """The stream that a call asks for."""

    path: bytes
    """That of all responses."""
    query: bytes
    """The caller's, without what we set."""
    stream: StoredStream

    @property
    def target(self) -> bytes:
        """What asks for all that is behind the last event."""
        query = self.query + b"&stream=true" if self.query else b"stream=true"
        if self.stream.after is not None:
            query += b"&starting_after=%d" % self.stream.after
        return b"%b/%b?%b" % (self.path, (self.stream.name or "").encode(), query)


class Resumed:
    """The stream from its first exchange to its last. A Reply (`reply.py`)."""

    tunnel: asyncio.Transport | None = None

    def __init__(
        self,
        inner: Attempt,
        call: Call,
        request: Request,
        exchange: Exchange,
        asked: Asked,
        tries: int,
        stats: RouteStats,
    ) -> None:
        self.head = exchange.head
        self.ended = self.settled = False
        self.passed = 0
        self._inner = inner
        self._call = call
        self._request = request
        self._exchange = exchange
        self._asked = asked
        self._tries = tries
        self._left = tries
        self._had: int | None = None
        """Number of the last event when it was taken up last. (Comments bring it no further.)"""
        self._stats = stats
        self._sink: WholeEvents | None = None
        self._releases: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<Resumed, now {self._exchange!r}>"

    @property
    def attempt(self) -> AttemptRecord:
        """The last one: it tells what all of them used."""
        return self._exchange.attempt

    @property
    def failure(self) -> Failure | None:
        """As the exchange tells."""
        return self._exchange.failure

    def write_into(self, sink: Sink) -> None:
        """Write whole events."""
        self._sink = WholeEvents(sink, self)
        self._exchange.write_into(self._sink)

    async def finish(self) -> None:
        """Wait for the end of the response. Raise CallError if it can't be had."""
        while True:
            error: CallError | None = None
            try:
                if not self._exchange.ended:
                    await self._exchange.finish()
            except CallError as broken:
                error = told_again(broken)
                forget_frames(broken)
            if self.ended:
                return
            stream = self._asked.stream
            if stream.over:
                self._end()
                return
            if error is None:
                error = Truncated("the stream ended before the response did")
            if stream.gap:
                error = Truncated("the stream that continues the response lacks events of it")
                self._stats.resumes["given_up"] += 1
            if not (stream.resumable and error.endpoint_failed):
                self._fail(error)
                raise error
            await self._go_on(error)

    def on_settled(self, release: Callable[[], None]) -> None:
        """Call *release* when the last exchange is over."""
        if self.settled:
            release()
        else:
            self._releases.append(release)

    def abandon(self) -> None:
        """End it at once: its reader has left."""
        self._exchange.abandon()
        self.settle()

    def half_close(self) -> None:
        """Do nothing: it is not a tunnel."""

    # -- what the sink calls --

    def take(self, data: list[bytes], ended: bool) -> list[bytes]:
        """Return what of *data* goes to the caller; note whether that is the end."""
        stream = self._asked.stream
        given = [stream.feed(piece) for piece in data]
        if ended:
            given.append(stream.finish())
            self.ended = not stream.resumable and not stream.gap
        if stream.gap and not self._exchange.ended:
            # Not from within its own callback.
            loop = asyncio.get_running_loop()
            loop.call_soon(self._exchange.fail, Truncated("events are missing"))
        given = [piece for piece in given if piece]
        self.passed += sum(map(len, given))
        return given

    # -- from one exchange to the next --

    async def _go_on(self, error: CallError) -> None:
        """Continue with another exchange. Raise CallError if that can't be."""
        call, stream, before = self._call, self._asked.stream, self._exchange.attempt
        why = "no try is left"
        if stream.after != self._had:
            self._had, self._left = stream.after, self._tries
        while self._left > 0:
            wait = min(_FIRST_WAIT * 2 ** (self._tries - self._left), _LONGEST_WAIT)
            pause = wait * (1 + random.random()) / 2
            self._left -= 1
            if call.deadline is not None and time.monotonic() + pause >= call.deadline:
                why = "its time is over"
                break
            call.note("resume", f"behind event {stream.after}, after {error.code}")
            await asyncio.sleep(pause)
            exchange, why, again = await self._asks(before, error.code)
            if exchange is not None:
                self._stats.resumes["resumed"] += 1
                self._follow(exchange, before)
                return
            if not again:
                break
        error.message += f"; the response goes on, but can't be taken up: {why}"
        self._stats.resumes["given_up"] += 1
        self._fail(error)
        raise error

    async def _asks(self, before: AttemptRecord, reason: str) -> tuple[Exchange | None, str, bool]:
        """Ask for what is left; else return why there is none, and whether to ask again."""
        stays = Stays(self._asked.stream.name or "", before.endpoint.name, before.key)
        request = self._request.edited(_GET).replace(
            method=b"GET",
            target=self._asked.target,
            content=b"",
            home=stays,
            stream=True,
            why=RESUME,
            reason=reason,
            begins=None,
            holds_interims=True,
        )
        try:
            exchange = await self._inner(self._call, request)
        except CallError as error:
            why = error.message
            again = isinstance(error, AttemptError) and not isinstance(error, DeadlineExceeded)
            forget_frames(error)
            return None, why, again
        exchange.attempt.key = before.key
        if streams(exchange):
            return exchange, "", True
        status, failure = exchange.head.status, exchange.failure
        exchange.abandon()
        said = f": {failure.message}" if failure is not None and failure.message else ""
        return None, f"the endpoint answers {status}{said}", status == 429 or status >= 500

    def _follow(self, exchange: Exchange, before: AttemptRecord) -> None:
        """Write the rest of the stream from *exchange*."""
        before.resumed, exchange.attempt.resumed = True, False
        if before.content is not None:
            exchange.attempt.content = before.content
        self._exchange = exchange
        self._asked.stream.again()
        assert self._sink is not None
        exchange.write_into(self._sink)

    def _end(self) -> None:
        """Nothing is missing, although the exchange broke."""
        self.ended = True
        if self._sink is not None:
            self._sink.end()
        self.settle()

    def _fail(self, error: CallError) -> None:
        if self._sink is not None:
            self._sink.fail(error)
        self.settle()

    def settle(self) -> None:
        """It is over."""
        if self.settled:
            return
        self.settled = True
        if self._sink is not None:
            self._sink.let_go()
            self._sink = None
        releases, self._releases = self._releases, []
        for release in releases:
            release()


def streams(exchange: Exchange) -> bool:
    """Whether *exchange* brings events that can be read."""
    fields = exchange.head.fields
    kind = fields.get(b"content-type", b"").lower()
    return (
        exchange.head.status == 200
        and b"event-stream" in kind
        and b"content-encoding" not in fields
    )
