"""Callers come to one reply, stall and leave at any moment: each that stays gets all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import CallError, Truncated
from sidecar.http.message import CHUNKED, Header, ResponseHead
from sidecar.proxy.layers.flight import Flight, Member
from sidecar.proxy.reply import Reply
from sidecar.proxy.sink import NullSink, Sink

MOST = 300


class Upstream:
    """A reply that does what a test says."""

    attempt = failure = tunnel = None
    settled = ended = abandoned = False

    def __init__(self) -> None:
        self.head = ResponseHead()
        self.head.body = CHUNKED
        self.sent: list[bytes] = []
        self.sink: Sink | None = None
        self.over = asyncio.get_running_loop().create_future()

    def write_into(self, sink: Sink) -> None:
        self.sink = sink
        sink.begin(self.head, [], False, ())

    async def finish(self) -> None:
        await self.over

    def abandon(self) -> None:
        self.abandoned = not self.ended

    def says(self, data: bytes) -> None:
        if self.sink is not None and not self.abandoned and not self.over.done():
            self.sent.append(data)
            self.sink.write([data], False, ())

    def ends(self, error: CallError | None) -> None:
        if self.sink is None or self.abandoned or self.over.done():
            return
        if error is None:
            self.ended = True
            self.sink.write([], True, ())
            self.over.set_result(None)
        else:
            self.sink.break_off(error)
            self.over.set_exception(error)


class Caller(NullSink):
    """One who reads, or not."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.how = ""
        self.writable = True

    def begin(
        self, head: ResponseHead, data: list[bytes], ended: bool, trailers: Sequence[Header]
    ) -> None:
        assert not self.how
        self.how = "begun"
        self.write(data, ended, trailers)

    def write(self, data: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        assert self.how == "begun"
        self.got += data
        if ended:
            self.how = "ended"

    def break_off(self, error: CallError) -> None:
        assert self.how == "begun"
        self.how = error.code

    def reads(self, on: bool) -> None:
        if self.writable != on:
            self.writable = on
            if self.feeder is not None:
                self.feeder.on_sink_writable(on)


def a_call() -> Any:
    body = SimpleNamespace(free=lambda: None)
    return SimpleNamespace(
        deadline=None, final=False, operation="", told=b"", attempts=[], fallback=0,
        attempt=None, reply=None, body=body, request_id=b"r", queued=0.0, notes=None,
    )  # fmt: skip


class World:
    """A flight and its callers."""

    def __init__(self) -> None:
        self.upstream = Upstream()
        self.open = True
        self.served = 0
        self.flight = Flight(MOST, self.closed, self.count)
        self.callers: list[Caller] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.stayed: list[bool] = []
        self.join()
        gate = asyncio.get_running_loop().create_future()
        self._gate = gate

        async def inner(call: object, request: object) -> Reply:
            await gate
            return cast("Reply", self.upstream)

        self.flight.start(inner, a_call(), cast("Any", None))

    def let(self) -> None:
        """Let the upstream answer."""
        if not self._gate.done():
            self._gate.set_result(None)

    async def does(self, count: int, name: str, value: int = 0) -> None:
        if name == "let":
            self.let()
        elif name == "join":
            self.join()
            await asyncio.sleep(0)
        elif name == "say":
            self.upstream.says(bytes([count % 256]) * value)
        elif name == "leave":
            self.leave(value)
        elif name in ("stall", "read"):
            self.callers[value % len(self.callers)].reads(name == "read")
        else:
            await asyncio.sleep(0)

    def closed(self) -> None:
        assert self.open
        self.open = False

    def count(self, flight: Flight) -> None:
        self.served += 1

    def join(self) -> None:
        if not self.open:
            return
        caller = Caller()
        member = self.flight.join(a_call())
        self.callers.append(caller)
        self.stayed.append(True)
        self.tasks.append(asyncio.create_task(self._carry(member, caller)))

    async def _carry(self, member: Member, caller: Caller) -> None:
        try:
            await member.arrival()
            member.write_into(caller)
            if not member.ended:
                await member.finish()
        except CallError as error:
            caller.how = caller.how or error.code
        finally:
            member.abandon()

    def leave(self, number: int) -> None:
        number %= len(self.tasks)
        if not self.tasks[number].done():
            self.stayed[number] = False
            self.tasks[number].cancel()


STEPS = st.lists(
    st.one_of(
        st.just(("let",)),
        st.just(("join",)),
        st.tuples(st.just("say"), st.integers(1, 200)),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.tuples(st.just("stall"), st.integers(0, 9)),
        st.tuples(st.just("read"), st.integers(0, 9)),
        st.just(("turn",)),
    ),
    max_size=40,
)


@given(STEPS, st.booleans())
def test_callers_come_and_go_at_any_moment(steps: list[Any], breaks: bool) -> None:
    asyncio.run(flies(steps, breaks))


async def flies(steps: list[Any], breaks: bool) -> None:
    world = World()
    await asyncio.sleep(0)
    for count, step in enumerate(steps):
        await world.does(count, *step)
    anybody = any(
        not task.done() and kept for task, kept in zip(world.tasks, world.stayed, strict=True)
    )
    world.let()
    for _ in range(5):
        await asyncio.sleep(0)
    world.upstream.ends(Truncated("it broke") if breaks else None)
    await asyncio.gather(*world.tasks, return_exceptions=True)
    await asyncio.gather(world.flight._task, return_exceptions=True)
    sent = b"".join(world.upstream.sent)
    complete = 0
    for caller, stayed in zip(world.callers, world.stayed, strict=True):
        assert sent.startswith(b"".join(caller.got))
        if stayed:
            complete += caller.how == "ended"
            checks(caller, sent, breaks)
    assert not world.open
    assert not world.flight.members
    assert world.served <= max(0, complete)
    if not anybody:
        assert world.upstream.abandoned or world.upstream.sink is None


def checks(caller: Caller, sent: bytes, breaks: bool) -> None:
    got = b"".join(caller.got)
    if caller.how == "ended":
        assert got == sent
        assert not breaks
    elif caller.how == "caller_stalled":
        assert len(sent) - len(got) > MOST
    else:
        assert caller.how == "upstream_truncated"
        assert breaks
