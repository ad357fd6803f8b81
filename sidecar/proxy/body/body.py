"""A request's body: buffered so that it can be sent again, or streamed."""

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
"""Bytes that are buffered before `hold` or `stream_into` (a pipelined request's, say)."""
BODY_FULL: Final = 1
"""Reading downstream is paused: nothing consumes the buffered body."""
UPSTREAM_FULL: Final = 2
"""Reading downstream is paused: the upstream connection's send buffer is full."""
NO_MEMORY: Final = 8
"""Reading downstream is paused: no buffer memory is free."""
_SMALL: Final = 4096
"""Bytes. Smaller pieces are joined as they arrive: an object for each chunk of two bytes would take
28 times the size of the body."""


class Reader(Protocol):
    """Delivers a body; its reading can be paused."""

    def pause_reading(self, reason: int) -> None:
        """Pause reading from the application until every reason is resumed."""

    def resume_reading(self, reason: int) -> None:
        """End the pause for *reason*."""


class BodyConsumer(Protocol):
    """Consumes a body that streams."""

    def send_body(self, data: bytes) -> None:
        """Take more *data*."""

    def send_end(self, trailers: Sequence[Header]) -> None:
        """The body is complete."""

    def fail(self, error: CallError) -> None:
        """The body will never be complete."""


class RequestBody:
    """Buffered until it is complete or too large; then it may stream into one consumer."""

    complete = False
    streamed = False
    """Whether it went to a consumer before it was complete, and can't be sent again."""
    trailers: Sequence[Header] = ()
    error: CallError | None = None
    """Why it will never be complete."""
    unpacked: bytes | None = None
    """The decompressed content, if it has a coding that we support."""
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
        """*whole*: the complete body, if it is here. *length*: the head's; negative: unknown."""
        self.held: list[bytes | bytearray] = []
        self.size = 0
        """Bytes received, buffered or not."""
        self.memory = memory
        self._counted = 0
        """Bytes that are reserved in `memory`."""
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
        """The buffered body in one piece."""
        held = self.held
        if len(held) != 1 or not isinstance(held[0], bytes):
            held[:] = [b"".join(held)]
        content = held[0]
        assert isinstance(content, bytes)
        return content

    def plain(self) -> bytes:
        """The buffered body in one piece, decompressed."""
        return self.content() if self.unpacked is None else self.unpacked

    @property
    def prompt(self) -> Prompt:
        """The prompt of a complete body, parsed on first use."""
        if self._prompt is None:
            self._prompt = Prompt(self.plain() if self.complete else b"")
        return self._prompt

    async def reserve_unpacked(self, most: int) -> None:
        """Reserve memory for *most* more bytes. Raise NoBodyMemory if there is none."""
        await self._reserve(self._counted + most)

    def count_copies(self, size: int = 0) -> None:
        """Count memory for the body, also decompressed, and for *size* bytes made from it."""
        self._count(self.size + len(self.unpacked or b"") + size)

    async def hold(self, limit: int, idle: float) -> None:
        """Wait until the body is complete, or more than *limit* bytes of it are here.

        Raise BadMessage (408) if no byte arrives for *idle* seconds, the earlier error if it broke,
        or NoBodyMemory if there is no memory for it.
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
        """Pass on what is buffered, and from now on what arrives."""
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
        """The consumer is gone: drop what still arrives."""
        self.streamed = True
        self._consumer = None
        self.free()

    def free(self) -> None:
        """Drop the buffer and return its memory."""
        self.held.clear()
        self.unpacked = self._prompt = None
        self._count(0)

    def pause(self) -> None:
        """The consumer is full."""
        self._reader.pause_reading(UPSTREAM_FULL)

    def resume(self) -> None:
        """The consumer has room again, or is gone."""
        self._reader.resume_reading(UPSTREAM_FULL)

    # -- what the downstream connection calls --

    def feed(self, data: bytes) -> None:
        """Take *data* of the body."""
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
        self._reader.resume_reading(BODY_FULL)  # its last read may have exceeded the bound
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

    # -- its buffer --

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
        """Wait for memory for *size* bytes."""
        more = size - self._counted
        if more <= 0:
            return
        if not self.memory.reserve(more):
            if not self.complete:  # else no more of it comes, and the pause would have no owner
                self._reader.pause_reading(NO_MEMORY)
            try:
                await self.memory.reserve_in_turn(more)
            finally:
                self._reader.resume_reading(NO_MEMORY)
        self._counted += more

    def _count(self, size: int) -> None:
        """Set its share of the memory to *size* bytes."""
        counted, self._counted = self._counted, size
        if size > counted:
            self.memory.add(size - counted)
        elif size < counted:
            self.memory.free(counted - size)

    # -- waiting for it --

    def _settled(self) -> bool:
        """Whether it is complete. Raise its error if it broke."""
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
        """Fail a body that was silent for *idle* seconds; sooner while others wait."""
        if self.size != seen:
            silent = 0.0
        elif silent >= idle or self.memory.waiting:
            message = f"no bytes of the request's body arrived for {silent:g} s"
            self.fail(BadMessage(message, status=408, code="request_timeout"))
            return
        self._look_later(idle, silent)
