"""A request's body on its way: held to be sent again, or passed on as it comes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from sidecar.errors import BadMessage, CallError
from sidecar.http.message import Header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecar.proxy.call import Downstream

UNASKED: Final = 256 * 1024
"""Bytes that are held before anybody asked for the body (a pipelined request's, say)."""
BODY_FULL: Final = 1
"""Reading downstream is paused: nobody takes the body that is held."""
UPSTREAM_FULL: Final = 2
"""Reading downstream is paused: the upstream connection's send buffer is full."""


class BodyConsumer(Protocol):
    """What takes a body that does not wait to be complete."""

    def send_body(self, data: bytes) -> None:
        """Some more of it."""

    def send_end(self, trailers: Sequence[Header]) -> None:
        """All of it was sent."""

    def fail(self, error: CallError) -> None:
        """The rest will never come."""


class RequestBody:
    """First held, until it is complete or too large; then it may stream into one consumer."""

    complete = False
    streamed = False
    """It went to a consumer before it was complete: it can't be sent again."""
    trailers: Sequence[Header] = ()
    error: CallError | None = None
    """Why it will never be complete."""
    _limit = UNASKED
    _waiter: asyncio.Future[None] | None = None
    _timer: asyncio.TimerHandle | None = None
    _consumer: BodyConsumer | None = None

    def __init__(self, downstream: Downstream, whole: bytes | None = None) -> None:
        self.held = [whole] if whole else []
        self.size = len(whole) if whole else 0
        """Bytes received, held or not."""
        if whole is not None:
            self.complete = True
        self._downstream = downstream

    def content(self) -> bytes:
        """All that is held."""
        held = self.held
        if len(held) > 1:
            held[:] = [b"".join(held)]
        return held[0] if held else b""

    async def hold(self, limit: int, idle: float) -> None:
        """Wait until the body is complete, or more than *limit* bytes of it are here.

        Raise BadMessage (408) when nothing comes for *idle* seconds, or what it broke with before.
        """
        if self.complete:
            return
        if self.error is not None:
            raise self.error
        self._limit = limit
        if self.size > limit:
            self._downstream.pause_reading(BODY_FULL)
            return
        self._downstream.resume_reading(BODY_FULL)
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        self._timer = loop.call_later(idle, self._check, idle, self.size)
        try:
            await self._waiter
        finally:
            self._timer.cancel()

    def stream_into(self, consumer: BodyConsumer) -> None:
        """Pass on what is held, and from now on what comes."""
        self.streamed = True
        self._consumer = consumer
        held, self.held = self.held, []
        for data in held:
            consumer.send_body(data)
        self._downstream.resume_reading(BODY_FULL)
        if self.error is not None:
            consumer.fail(self.error)

    def stop_streaming(self) -> None:
        """The consumer takes no more: what still comes is dropped."""
        self.streamed = True
        self._consumer = None
        self.held.clear()

    # -- what the downstream connection calls --

    def feed(self, data: bytes) -> None:
        """Some of the body came."""
        self.size += len(data)
        if self._consumer is not None:
            self._consumer.send_body(data)
        elif not self.streamed:
            self.held.append(data)
            if self.size > self._limit:
                self._downstream.pause_reading(BODY_FULL)
                self._wake()

    def finish(self, trailers: Sequence[Header]) -> None:
        """The body is complete."""
        self.complete = True
        self.trailers = trailers
        self._downstream.resume_reading(BODY_FULL)  # its last read may have been one too many
        if self._consumer is not None:
            self._consumer.send_end(trailers)
        self._wake()

    def fail(self, error: CallError) -> None:
        """The body will never be complete."""
        self.error = error
        if self._consumer is not None:
            self._consumer.fail(error)
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _check(self, idle: float, seen: int) -> None:
        if self.size == seen:
            message = f"nothing of the request's body came for {idle:g} s"
            self.fail(BadMessage(message, status=408, code="request_timeout"))
        else:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(idle, self._check, idle, self.size)
