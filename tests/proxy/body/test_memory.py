"""The memory for all held bodies: bounded, given out in order, and never stuck."""

from __future__ import annotations

import asyncio

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import NoBodyMemory
from sidecar.proxy.body.memory import BodyMemory

TOTAL = 1000


async def turns() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


async def test_there_is_room() -> None:
    memory = BodyMemory(TOTAL, 60.0)
    assert memory.reserve(600)
    assert memory.reserve(400)
    assert not memory.reserve(1)
    memory.free(400)
    assert memory.reserve(1)


async def test_bodies_wait_in_order_and_none_overtakes() -> None:
    memory = BodyMemory(TOTAL, 60.0)
    memory.add(TOTAL)
    large = asyncio.create_task(memory.reserve_in_turn(500))
    small = asyncio.create_task(memory.reserve_in_turn(1))
    await turns()
    memory.free(100)
    await turns()
    assert not memory.reserve(1)
    assert (large.done(), small.done(), memory.waiting) == (False, False, 2)
    memory.free(500)
    await turns()
    assert (large.done(), small.done(), memory.used) == (True, True, 901)


async def test_a_body_that_is_larger_than_all_there_is() -> None:
    memory = BodyMemory(TOTAL, 60.0)
    memory.add(1)
    larger = asyncio.create_task(memory.reserve_in_turn(5 * TOTAL))
    await turns()
    assert not larger.done()
    memory.free(1)
    await turns()
    assert larger.done()


async def test_a_wait_ends() -> None:
    memory = BodyMemory(TOTAL, 0.01)
    memory.add(TOTAL)
    with pytest.raises(NoBodyMemory) as raised:
        await memory.reserve_in_turn(1)
    assert (raised.value.status, raised.value.retry_after) == (503, 1.0)
    assert (memory.used, memory.waiting, memory.refused) == (TOTAL, 0, 1)


@pytest.mark.parametrize("granted", [True, False])
async def test_a_body_that_gives_up_gives_its_part_back(granted: bool) -> None:
    memory = BodyMemory(TOTAL, 60.0)
    memory.add(TOTAL)
    first = asyncio.create_task(memory.reserve_in_turn(600))
    second = asyncio.create_task(memory.reserve_in_turn(600))
    await turns()
    if granted:  # in the same step in which it is cancelled
        memory.free(TOTAL)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    if not granted:
        memory.free(TOTAL)
    await second
    assert (memory.used, memory.waiting) == (600, 0)


async def test_other_numbers_count_at_once() -> None:
    memory = BodyMemory(TOTAL, 60.0)
    memory.add(TOTAL)
    waits = asyncio.create_task(memory.reserve_in_turn(500))
    await turns()
    memory.configure(2 * TOTAL, 1.0)
    await waits


@given(st.lists(st.tuples(st.integers(1, 1200), st.integers(0, 5), st.booleans()), max_size=30))
def test_every_body_has_its_turn(bodies: list[tuple[int, int, bool]]) -> None:
    """Whatever they take, and whoever gives up: what is given out is bounded, and all is freed."""
    uvloop.run(plays(bodies))


async def plays(bodies: list[tuple[int, int, bool]]) -> None:
    memory = BodyMemory(TOTAL, 60.0)

    async def holds(size: int, rounds: int) -> None:
        if not memory.reserve(size):
            await memory.reserve_in_turn(size)
        assert memory.used <= max(TOTAL, size)
        try:
            for _ in range(rounds):
                await asyncio.sleep(0)
        finally:
            memory.free(size)

    tasks = [asyncio.create_task(holds(size, rounds)) for size, rounds, _ in bodies]
    for task, (_, rounds, leaves) in zip(tasks, bodies, strict=True):
        if leaves:
            for _ in range(rounds):
                await asyncio.sleep(0)
            task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert not [result for result in results if isinstance(result, Exception)]
    assert (memory.used, memory.waiting) == (0, 0)
