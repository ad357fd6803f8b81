"""A request's body that breaks tells whoever takes it, then or later."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Sequence
from typing import Any, cast

import pytest

from sidecar.errors import BadMessage, CallError, NoBodyMemory
from sidecar.http.message import Header
from sidecar.proxy.body.body import NO_MEMORY, RequestBody
from sidecar.proxy.body.memory import BodyMemory

BROKEN = BadMessage("malformed")
MIB = 2**20


class Downstream:
    paused = 0

    def pause_reading(self, reason: int) -> None:
        self.paused |= reason

    def resume_reading(self, reason: int) -> None:
        self.paused &= ~reason


class Consumer:
    def __init__(self) -> None:
        self.taken: list[bytes | CallError] = []

    def send_body(self, data: bytes) -> None:
        self.taken.append(data)

    def send_end(self, trailers: Sequence[Header]) -> None:
        raise AssertionError("it never ends")

    def fail(self, error: CallError) -> None:
        self.taken.append(error)


@pytest.mark.parametrize("streams_first", [True, False])
def test_a_body_that_breaks_fails_its_consumer(streams_first: bool) -> None:
    body, consumer = RequestBody(cast(Any, Downstream()), BodyMemory(MIB, 1.0)), Consumer()
    body.feed(b"some")
    if streams_first:
        body.stream_into(consumer)
        body.fail(BROKEN)
    else:  # it broke while its call waited for a connection
        body.fail(BROKEN)
        body.stream_into(consumer)
    assert consumer.taken == [b"some", BROKEN]


async def test_a_body_that_breaks_while_it_is_held_fails_who_waits() -> None:
    body = RequestBody(cast(Any, Downstream()), BodyMemory(MIB, 1.0))
    holding = body.hold(1000, 60)
    waits = holding.send(None)
    body.fail(BROKEN)
    assert cast(Any, waits).exception() is BROKEN
    holding.close()


async def test_a_body_that_broke_before_it_is_held_makes_nobody_wait() -> None:
    body = RequestBody(cast(Any, Downstream()), BodyMemory(MIB, 1.0))
    body.fail(BROKEN)
    with pytest.raises(BadMessage) as raised:
        await body.hold(1000, 60)
    assert raised.value is BROKEN


@pytest.mark.parametrize("size", [1, 2, 3, 8, 64, 5000, 100_000])
def test_a_held_body_costs_what_it_holds(size: int) -> None:
    body = RequestBody(cast(Any, Downstream()), BodyMemory(8 * MIB, 1.0))
    body._limit = 8 * MIB
    piece = b"x" * size
    tracemalloc.start()
    try:
        for _ in range(MIB // size):
            body.feed(bytes(bytearray(piece)))  # a new object each time, as a slice is one
        cost, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert cost < 1.3 * MIB
    assert body.content() == b"x" * body.size
    assert body.memory.used == body.size


def test_pieces_of_all_sizes_are_held_in_order() -> None:
    body, consumer = RequestBody(cast(Any, Downstream()), BodyMemory(MIB, 1.0)), Consumer()
    pieces = [bytes([number]) * size for number, size in enumerate((1, 5000, 2, 3, 4096, 4095, 1))]
    for piece in pieces:
        body.feed(piece)
    assert body.content() == b"".join(pieces)
    body.feed(b"more")
    body.stream_into(consumer)
    assert b"".join(cast("list[bytes]", consumer.taken)) == b"".join(pieces) + b"more"
    assert body.memory.used == 0


async def test_a_body_without_room_is_not_read_until_there_is_some() -> None:
    memory = BodyMemory(1000, 60.0)
    memory.add(950)
    body = RequestBody(cast(Any, Downstream()), memory, length=100)
    body.feed(bytes(10))
    holding = asyncio.create_task(body.hold(10_000, 60.0))
    await asyncio.sleep(0)
    assert (paused(body), memory.waiting, memory.used) == (NO_MEMORY, 1, 960)
    memory.free(950)
    await asyncio.sleep(0)
    assert (paused(body), memory.waiting, memory.used) == (0, 0, 100)
    body.feed(bytes(90))
    body.finish(())
    await holding
    body.free()
    assert memory.used == 0


async def test_a_whole_body_that_waits_for_room_to_be_unpacked_pauses_nothing() -> None:
    memory = BodyMemory(1000, 60.0)
    body = RequestBody(cast(Any, Downstream()), memory, bytes(10))
    memory.add(990)
    unpacking = asyncio.create_task(body.reserve_unpacked(500))
    await asyncio.sleep(0)
    assert (paused(body), memory.waiting) == (0, 1)
    memory.free(990)
    await unpacking
    assert memory.used == 510


async def test_a_body_without_a_length_reserves_all_that_may_be_held() -> None:
    memory = BodyMemory(1000, 60.0)
    body = RequestBody(cast(Any, Downstream()), memory)
    holding = asyncio.create_task(body.hold(600, 60.0))
    await asyncio.sleep(0)
    assert memory.used == 600
    body.feed(bytes(10))
    body.finish(())
    await holding
    assert memory.used == 10


async def test_a_body_that_waits_in_vain_fails() -> None:
    memory = BodyMemory(1000, 0.01)
    memory.add(1000)
    body = RequestBody(cast(Any, Downstream()), memory, length=100)
    with pytest.raises(NoBodyMemory):
        await body.hold(10_000, 60.0)
    assert (paused(body), memory.used) == (0, 1000)


async def test_a_body_that_breaks_while_it_waits_for_memory() -> None:
    memory = BodyMemory(1000, 60.0)
    memory.add(1000)
    body = RequestBody(cast(Any, Downstream()), memory, length=100)
    holding = asyncio.create_task(body.hold(10_000, 60.0))
    await asyncio.sleep(0)
    body.fail(BROKEN)
    memory.free(1000)
    with pytest.raises(BadMessage) as raised:
        await holding
    assert raised.value is BROKEN
    body.free()
    assert memory.used == 0


async def test_a_silent_body_goes_sooner_where_others_wait() -> None:
    memory = BodyMemory(1000, 0.01)
    silent = RequestBody(cast(Any, Downstream()), memory, length=1000)
    holding = asyncio.create_task(silent.hold(10_000, 3600.0))
    await asyncio.sleep(0.05)
    assert not holding.done()
    # Another body waits, for however long a busy machine takes.
    other = asyncio.get_running_loop().create_future()
    memory._waiting.append((100, other))
    with pytest.raises(BadMessage) as raised:
        await holding
    assert raised.value.status == 408
    silent.free()
    await other


def paused(body: RequestBody) -> int:
    return cast(Downstream, body._reader).paused
