"""A request's body on its way: held to be sent again, or passed on as it comes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from sidecar.errors import BadMessage, CallError
from sidecar.http.message import Header
from sidecar.llm.prompt import Prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecar.proxy.body.memory import BodyMemory

UNASKED: Final = 256 * 1024
"""Bytes that are held before anybody asked for the body (a pipelined request's, say)."""
BODY_FULL: Final = 1
"""Reading downstream is paused: nobody takes the body that is held."""
UPSTREAM_FULL: Final = 2
"""Reading downstream is paused: the upstream connection's send buffer is full."""
NO_MEMORY: Final = 8
"""Reading downstream is paused: the bodies of all calls take as much memory as they may."""
_SMALL: Final = 4096
"""Bytes. Pieces below this are joined as they come: an object for each of many chunks of two bytes
would take 28 times the size of the body."""


class Reader(Protocol):
    """What brings a body: reading can wait."""

    def pause_reading(self, reason: int) -> None:
        """Take no more from the application, until every reason was taken back."""

    def resume_reading(self, reason: int) -> None:
        """Take *reason* back."""


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
    unpacked: bytes | None = None
    """The content without its content coding, where it has one that we can take off."""
    _limit = UNASKED
    _waiter: asyncio.Future[None] | None = None
    _timer: asyncio.TimerHandle | None = None
    _consumer: BodyConsumer | None = None
    _prompt: Prompt | None = None

    def __init__(
        self,
        reader: Reader,
        memory: BodyMemory,
        whole: bytes | None = None,
        length: int = -1,
    ) -> None:
        """*whole*: all of it, if it is here. *length*: what its head says; negative: nothing."""
        self.held: list[bytes | bytearray] = []
        self.size = 0
        """Bytes received, held or not."""
        self.memory = memory
        self._counted = 0
        """Bytes that `memory` has given out for it."""
        self._length = length
        self._reader = reader
        if whole is not None:
            self.complete = True
            if whole:
                self.held.append(whole)
                self.size = self._counted = len(whole)
                memory.add(self.size)

    def __repr__(self) -> str:
        state = "complete" if self.complete else "streamed" if self.streamed else "incomplete"
        return f"<RequestBody {self.size} bytes, {state}>"

    def content(self) -> bytes:
        """All that is held, in one piece."""
        held = self.held
        if len(held) != 1 or not isinstance(held[0], bytes):
            held[:] = [b"".join(held)]
        content = held[0]
        assert isinstance(content, bytes)
        return content

    def plain(self) -> bytes:
        """All that is held, as it reads without a content coding."""
        return self.content() if self.unpacked is None else self.unpacked

    @property
    def prompt(self) -> Prompt:
        """What a body that is complete asks of a model, parsed once, when somebody first looks."""
        if self._prompt is None:
            self._prompt = Prompt(self.plain() if self.complete else b"")
        return self._prompt

    async def reserve_unpacked(self, most: int) -> None:
        """Have memory for *most* bytes more. Raise NoBodyMemory when there is none."""
        await self._reserve(self._counted + most)

    def count_copies(self, size: int = 0) -> None:
        """Have memory for what is held, packed and unpacked, and for *size* bytes made of it."""
        self._count(self.size + len(self.unpacked or b"") + size)

    async def hold(self, limit: int, idle: float) -> None:
        """Wait until the body is complete, or more than *limit* bytes of it are here.

        Raise BadMessage (408) when nothing comes for *idle* seconds, or what it broke with before;
        NoBodyMemory when there is no memory for it.
        """
        if self._settled():
            return
        self._limit = limit
        if self.size <= limit:
            await self._reserve(min(limit, self._length) if self._length >= 0 else limit)
        if self.size > limit:
            self._reader.pause_reading(BODY_FULL)
            return
        self._reader.resume_reading(BODY_FULL)
        if self._settled():
            return
        self._waiter = asyncio.get_running_loop().create_future()
        self._look_later(idle, 0.0)
        try:
            await self._waiter
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def stream_into(self, consumer: BodyConsumer) -> None:
        """Pass on what is held, and from now on what comes."""
        self.streamed = True
        self._consumer = consumer
        held, self.held = self.held, []
        for data in held:
            consumer.send_body(bytes(data))
        self.free()
        self._reader.resume_reading(BODY_FULL)
        if self.error is not None:
            consumer.fail(self.error)

    def stop_streaming(self) -> None:
        """The consumer takes no more: what still comes is dropped."""
        self.streamed = True
        self._consumer = None
        self.free()

    def free(self) -> None:
        """Hold nothing any more."""
        self.held.clear()
        self.unpacked = self._prompt = None
        self._count(0)

    def pause(self) -> None:
        """The consumer can take no more for now."""
        self._reader.pause_reading(UPSTREAM_FULL)

    def resume(self) -> None:
        """It can take more again, or is gone."""
        self._reader.resume_reading(UPSTREAM_FULL)

    # -- what the downstream connection calls --

    def feed(self, data: bytes) -> None:
        """Some of the body came."""
        self.size += len(data)
        if self._consumer is not None:
            self._consumer.send_body(data)
        elif not self.streamed:
            self._keep(data)
            if self.size > self._limit:
                self._reader.pause_reading(BODY_FULL)
                self._wake()

    def finish(self, trailers: Sequence[Header]) -> None:
        """The body is complete."""
        self.complete = True
        self.trailers = trailers
        if not self.streamed:
            self._count(self.size)
        self._reader.resume_reading(BODY_FULL)  # its last read may have been one too many
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

    # -- what it holds --

    def _keep(self, data: bytes) -> None:
        held = self.held
        if len(data) >= _SMALL:
            held.append(data)
        elif held and isinstance(held[-1], bytearray):
            held[-1] += data
        else:
            held.append(bytearray(data))
        if self.size > self._counted:
            self._count(self.size)

    async def _reserve(self, size: int) -> None:
        """Have memory for *size* bytes of it."""
        more = size - self._counted
        if more <= 0:
            return
        if not self.memory.reserve(more):
            self._reader.pause_reading(NO_MEMORY)
            try:
                await self.memory.reserve_in_turn(more)
            finally:
                self._reader.resume_reading(NO_MEMORY)
        self._counted += more

    def _count(self, size: int) -> None:
        """Take *size* bytes of the memory, whatever it was before."""
        counted, self._counted = self._counted, size
        if size > counted:
            self.memory.add(size - counted)
        elif size < counted:
            self.memory.free(counted - size)

    # -- who waits for it --

    def _settled(self) -> bool:
        """Whether it is complete. Raise what it broke with."""
        if self.error is not None:
            raise self.error
        return self.complete

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _look_later(self, idle: float, silent: float) -> None:
        step = min(idle - silent, self.memory.wait)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(step, self._look, idle, silent + step, self.size)

    def _look(self, idle: float, silent: float, seen: int) -> None:
        """Give up a body of which nothing came for *idle* seconds; sooner while others wait."""
        if self.size != seen:
            silent = 0.0
        elif silent >= idle or self.memory.waiting:
            message = f"no bytes of the request's body arrived for {silent:g} s"
            self.fail(BadMessage(message, status=408, code="request_timeout"))
            return
        self._look_later(idle, silent)
