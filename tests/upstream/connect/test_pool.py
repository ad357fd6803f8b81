"""The pool by itself, with connections that are made at once or when the test says so."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import pytest

from sidecar.config.model import Pool as PoolConfig
from sidecar.config.model.units import Duration
from sidecar.errors import ConnectFailed, DeadlineExceeded, LocalFailure, Overloaded
from sidecar.observe.stats import EndpointStats
from sidecar.policy.timeouts import Due, Patience
from sidecar.upstream.connect.connection import UpstreamConnection
from sidecar.upstream.connect.name import Name
from sidecar.upstream.connect.pool import Pool
from tests.sockets.peers import until

PATIENCE = Patience(connect=60.0, queue=60.0)


class Connection:
    """What a pool sees of a connection."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.created = time.monotonic()
        self.idle_since = 0.0
        self.idle_limit = float("inf")
        self.closed = False
        self.peer = "10.0.0.1"
        self.stray = False
        """Something came that nobody asked for."""

    def quiet(self) -> bool:
        return not self.stray

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self.pool.discard(cast("UpstreamConnection", self))


class Dialling:
    """Makes connections when it is let."""

    def __init__(self, *, name: Moving | None = None, **config: Any) -> None:
        self.stats = EndpointStats()
        self.open = asyncio.Event()
        self.open.set()
        self.failure: Exception | None = None
        self.dues: list[Due] = []
        self.pool = Pool(PoolConfig(**config), self.stats, self.dial, cast("Name", name))

    async def dial(self, pool: Pool, due: Due) -> UpstreamConnection:
        self.dues.append(due)
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return cast("UpstreamConnection", Connection(pool))

    async def waits(self, count: int = 1) -> list[asyncio.Task[UpstreamConnection]]:
        """So many callers more, in a line."""
        tasks = []
        for _ in range(count):
            tasks.append(asyncio.create_task(self.pool.acquire(PATIENCE)))
            await asyncio.sleep(0)
        return tasks

    @property
    def swept_in(self) -> float:
        """Seconds until the next look at what rests."""
        assert self.pool._sweep is not None
        return self.pool._sweep.when() - asyncio.get_running_loop().time()

    @property
    def counts(self) -> tuple[int, int, int]:
        """Open, idle and waiting: as the pool knows them, and as it tells."""
        assert self.stats.open == self.pool.open
        return self.stats.open, self.stats.idle, self.stats.waiting


async def test_what_was_given_back_is_taken_again() -> None:
    it = Dialling()
    one = await it.pool.acquire(PATIENCE)
    assert it.counts == (1, 0, 0)
    it.pool.release(one)
    assert it.counts == (1, 1, 0)
    assert it.pool.take() is one
    assert it.counts == (1, 0, 0)
    assert it.pool.take() is None


async def test_the_last_used_is_taken_first() -> None:
    it = Dialling()
    one, two = await it.pool.acquire(PATIENCE), await it.pool.acquire(PATIENCE)
    it.pool.release(one)
    it.pool.release(two)
    assert [await it.pool.acquire(PATIENCE), await it.pool.acquire(PATIENCE)] == [two, one]


async def test_a_new_one_is_made_where_it_must_be() -> None:
    it = Dialling()
    one = await it.pool.acquire(PATIENCE)
    it.pool.release(one)
    assert await it.pool.acquire(PATIENCE, reuse=False) is not one
    assert it.counts == (2, 1, 0)


async def test_a_new_one_takes_the_place_of_an_idle_one() -> None:
    it = Dialling(max_open=1)
    one = await it.pool.acquire(PATIENCE)
    it.pool.release(one)
    assert await it.pool.acquire(PATIENCE, reuse=False) is not one
    assert one.closed
    assert it.counts == (1, 0, 0)


async def test_one_on_which_something_came_is_not_taken_again() -> None:
    it = Dialling()
    one, two = await it.pool.acquire(PATIENCE), await it.pool.acquire(PATIENCE)
    it.pool.release(one)
    it.pool.release(two)
    cast("Any", two).stray = True
    assert it.pool.take() is one
    assert two.closed
    assert it.counts == (1, 0, 0)


async def test_one_on_which_something_came_is_not_handed_on() -> None:
    it = Dialling(max_open=1)
    one = await it.pool.acquire(PATIENCE)
    line = await it.waits(2)
    it.pool.release(one)
    cast("Any", one).stray = True  # before who waits first is woken
    await until(lambda: line[1].done())
    assert one.closed
    assert (await line[1]) is not one
    assert it.counts == (1, 0, 1)
    it.pool.release(await line[1])
    assert await line[0] is await line[1]


async def test_the_line_is_served_in_order() -> None:
    it = Dialling(max_open=2)
    busy = [await it.pool.acquire(PATIENCE) for _ in range(2)]
    line = await it.waits(4)
    assert it.counts == (2, 0, 4)
    it.pool.release(busy[1])
    it.pool.release(busy[0])
    assert [await line[0], await line[1]] == [busy[1], busy[0]]
    busy[0].abort()  # a place, but no connection
    fresh = await line[2]
    assert fresh not in busy
    assert it.counts == (2, 0, 1)
    it.pool.release(fresh)
    assert await line[3] is fresh


async def test_nobody_passes_the_line() -> None:
    it = Dialling(max_open=1)
    one = await it.pool.acquire(PATIENCE)
    line = await it.waits()
    it.pool.release(one)  # it is the waiter's now, who has not run yet
    late = (await it.waits())[0]
    assert await line[0] is one
    assert not late.done()
    it.pool.release(one)
    assert await late is one


async def test_who_leaves_the_line_is_forgotten() -> None:
    it = Dialling(max_open=1)
    one = await it.pool.acquire(PATIENCE)
    first, second = await it.waits(2)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert it.counts == (1, 0, 1)
    it.pool.release(one)
    assert await second is one


async def test_who_leaves_right_when_its_turn_comes_hands_it_on() -> None:
    it = Dialling(max_open=1)
    one = await it.pool.acquire(PATIENCE)
    first, second = await it.waits(2)
    it.pool.release(one)
    first.cancel()
    assert await second is one
    assert it.counts == (1, 0, 0)


async def test_who_leaves_right_when_a_place_falls_free_hands_it_on() -> None:
    it = Dialling(max_open=1)
    one = await it.pool.acquire(PATIENCE)
    first, second = await it.waits(2)
    one.abort()
    first.cancel()
    assert await second is not one
    assert it.counts == (1, 0, 0)


async def test_who_leaves_while_it_connects_frees_its_place() -> None:
    it = Dialling(max_open=1)
    it.open.clear()
    first, second = await it.waits(2)
    assert it.counts == (1, 0, 1)
    first.cancel()
    it.open.set()
    await second
    assert it.counts == (1, 0, 0)
    assert it.stats.connect_errors == 0


async def test_what_dies_on_its_way_to_who_waits_is_made_anew() -> None:
    it = Dialling(max_open=1)
    one = await it.pool.acquire(PATIENCE)
    line = await it.waits()
    it.pool.release(one)
    one.abort()
    assert await line[0] is not one
    assert it.counts == (1, 0, 0)


async def test_a_failure_to_connect_frees_its_place() -> None:
    it = Dialling(max_open=1)
    it.failure = ConnectFailed("no")
    it.open.clear()
    line = await it.waits(3)
    it.open.set()
    results = await asyncio.gather(*line, return_exceptions=True)
    assert results == [it.failure] * 3
    assert it.counts == (0, 0, 0)
    assert (it.stats.connects, it.stats.connect_errors) == (0, 3)


async def test_the_line_has_an_end() -> None:
    it = Dialling(max_open=1, max_waiting=2)
    await it.pool.acquire(PATIENCE)
    line = await it.waits(2)
    with pytest.raises(Overloaded):
        await it.pool.acquire(PATIENCE)
    assert it.counts == (1, 0, 2)
    for task in line:
        task.cancel()


async def test_what_dies_at_rest_is_gone() -> None:
    it = Dialling()
    one = await it.pool.acquire(PATIENCE)
    it.pool.release(one)
    one.abort()
    assert it.counts == (0, 0, 0)
    assert it.pool.take() is None


async def test_no_more_than_some_rest_once_they_were_not_needed() -> None:
    it = Dialling(max_idle=2)
    made = [await it.pool.acquire(PATIENCE) for _ in range(4)]
    for one in made:
        it.pool.release(one)
    assert it.counts == (4, 4, 0)
    it.pool._swept()
    assert it.counts == (4, 4, 0)  # a moment ago they were
    for one in made[:3]:
        one.idle_since -= 6
    it.pool._swept()
    assert [one.closed for one in made] == [True, True, False, False]
    assert it.counts == (2, 2, 0)


async def test_what_is_needed_again_in_time_is_kept() -> None:
    it = Dialling(max_idle=1)
    made = [await it.pool.acquire(PATIENCE) for _ in range(3)]
    for one in made:
        it.pool.release(one)
        one.idle_since -= 6
    again = [it.pool.take() for _ in range(2)]
    for taken in again:
        assert taken is not None
        it.pool.release(taken)
    it.pool._swept()
    assert [one.closed for one in made] == [True, False, False]


async def test_a_surplus_is_looked_at_soon_and_the_rest_later() -> None:
    it = Dialling(max_idle=1, idle_timeout=Duration("60s"))
    one, two = await it.pool.acquire(PATIENCE), await it.pool.acquire(PATIENCE)
    it.pool.release(one)
    later = it.swept_in
    assert 14 < later < 15.1
    it.pool.release(two)
    assert it.swept_in < 2.6
    it.pool.take()
    it.pool._swept()
    assert 14 < it.swept_in < 15.1


async def test_where_none_is_to_rest_none_does() -> None:
    it = Dialling(max_idle=0)
    one = await it.pool.acquire(PATIENCE)
    it.pool.release(one)
    assert one.closed


async def test_old_ones_are_not_kept() -> None:
    it = Dialling(lifetime=Duration("10s"))
    one, two = await it.pool.acquire(PATIENCE), await it.pool.acquire(PATIENCE)
    one.created -= 11
    it.pool.release(one)
    assert one.closed
    it.pool.release(two)
    two.created -= 11
    assert it.pool.take() is None
    assert it.counts == (0, 0, 0)


async def test_those_that_rested_too_long_are_not_taken() -> None:
    it = Dialling(idle_timeout=Duration("10s"))
    one, two = await it.pool.acquire(PATIENCE), await it.pool.acquire(PATIENCE)
    it.pool.release(one)
    it.pool.release(two)
    two.idle_since -= 11
    assert it.pool.take() is one
    assert two.closed
    assert it.counts == (1, 0, 0)


async def test_a_servers_own_limit_counts() -> None:
    it = Dialling()
    one = await it.pool.acquire(PATIENCE)
    one.idle_limit = 4.0
    it.pool.release(one)
    one.idle_since -= 5
    assert it.pool.take() is None


async def test_a_new_limit_holds_from_now_on() -> None:
    it = Dialling(max_open=1)
    one = await it.pool.acquire(PATIENCE)
    first, second = await it.waits(2)
    it.pool.configure(PoolConfig(max_open=2))
    two = await first  # at once: there is room for one more
    assert (two is one, it.counts) == (False, (2, 0, 1))
    it.pool.configure(PoolConfig(max_open=1))
    one.abort()
    await asyncio.sleep(0)
    assert not second.done()
    it.pool.release(two)
    assert await second is two
    assert it.counts == (1, 0, 0)


async def test_fewer_places_are_reached_as_calls_end() -> None:
    it = Dialling(max_open=3)
    made = [await it.pool.acquire(PATIENCE) for _ in range(3)]
    line = await it.waits()
    it.pool.configure(PoolConfig(max_open=1))
    made[0].abort()
    made[1].abort()
    await asyncio.sleep(0)
    assert it.counts == (1, 0, 1)
    it.pool.release(made[2])
    assert await line[0] is made[2]


async def test_a_retired_pool_keeps_nothing() -> None:
    it = Dialling()
    idle, busy = await it.pool.acquire(PATIENCE), await it.pool.acquire(PATIENCE)
    it.pool.release(idle)
    it.pool.retire()
    assert (idle.closed, busy.closed) == (True, False)
    it.pool.release(busy)
    assert (idle.closed, busy.closed) == (True, True)
    assert it.counts == (0, 0, 0)


async def test_who_waits_for_a_retired_pool_is_served() -> None:
    it = Dialling(max_open=1)
    one = await it.pool.acquire(PATIENCE)
    line = await it.waits()
    it.pool.retire()
    it.pool.release(one)
    two = await line[0]
    it.pool.release(two)
    assert two.closed
    assert it.counts == (0, 0, 0)


async def test_some_are_closed_by_choice() -> None:
    it = Dialling()
    made = [await it.pool.acquire(PATIENCE) for _ in range(3)]
    for one in made:
        it.pool.release(one)
    it.pool.close_idle(lambda one: one is made[1])
    assert [one.closed for one in made] == [False, True, False]
    assert it.counts == (2, 2, 0)


# -- waiting is not failing --


async def test_a_wait_ends_with_its_own_time() -> None:
    it = Dialling(max_open=1)
    one = await it.pool.acquire(PATIENCE)
    with pytest.raises(Overloaded) as caught:
        await it.pool.acquire(Patience(connect=60, queue=0.01))
    assert (caught.value.code, caught.value.endpoint_failed) == ("pool_timeout", False)
    assert it.counts == (1, 0, 0)
    it.pool.release(one)
    assert it.pool.take() is one


async def test_a_wait_ends_with_the_call() -> None:
    it = Dialling(max_open=1)
    await it.pool.acquire(PATIENCE)
    with pytest.raises(DeadlineExceeded) as caught:
        await it.pool.acquire(Patience(60, 60, time.monotonic() + 0.01))
    assert (caught.value.code, caught.value.endpoint_failed) == ("total_timeout", False)
    assert it.counts == (1, 0, 0)


async def test_waiting_takes_nothing_of_the_time_to_connect() -> None:
    it = Dialling(max_open=1)
    one = await it.pool.acquire(PATIENCE)
    waiting = asyncio.create_task(it.pool.acquire(Patience(connect=0.01, queue=60)))
    await asyncio.sleep(0.03)  # longer than it may take to connect
    one.abort()
    await waiting
    assert it.dues[-1] == Due(0.01, "connect")


async def test_the_calls_end_cuts_the_time_to_connect() -> None:
    it = Dialling()
    await it.pool.acquire(Patience(60, 60, time.monotonic() + 5))
    assert it.dues[0].name == "total"
    assert it.dues[0].seconds <= 5


# -- a machine without means for one more connection --


async def test_calls_wait_for_what_is_there() -> None:
    it = Dialling()
    one = await it.pool.acquire(PATIENCE)
    it.failure = LocalFailure("out of descriptors")
    line = await it.waits(3)
    assert it.counts == (1, 0, 3)
    it.pool.release(one)
    assert await line[0] is one
    it.pool.release(one)
    assert await line[1] is one
    it.pool.release(one)
    assert await line[2] is one
    assert it.counts == (1, 0, 0)


async def test_where_nothing_is_there_they_fail() -> None:
    it = Dialling()
    it.failure = LocalFailure("out of descriptors")
    with pytest.raises(LocalFailure):
        await it.pool.acquire(PATIENCE)
    assert it.counts == (0, 0, 0)


async def test_those_who_find_nothing_at_once_all_fail() -> None:
    it = Dialling()
    it.failure = LocalFailure("out of descriptors")
    it.open.clear()
    line = await it.waits(4)
    it.open.set()
    ended = await asyncio.gather(*line, return_exceptions=True)
    assert [type(error) for error in ended] == [LocalFailure] * 4
    assert it.counts == (0, 0, 0)


async def test_they_try_again_by_and_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.upstream.connect.pool._TRY_AGAIN", 0.001)
    it = Dialling()
    await it.pool.acquire(PATIENCE)
    it.failure = LocalFailure("out of descriptors")
    line = await it.waits(3)
    await until(lambda: len(it.dues) > 6, "another try")
    assert it.counts[2] >= 2  # one may be trying
    it.failure = None
    assert len({id(one) for one in await asyncio.gather(*line)}) == 3  # each its own
    assert it.counts == (4, 0, 0)
    assert it.pool._starved is None


async def test_trying_again_is_no_way_to_wait_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.upstream.connect.pool._TRY_AGAIN", 0.001)
    it = Dialling()
    await it.pool.acquire(PATIENCE)
    it.failure = LocalFailure("out of descriptors")
    with pytest.raises(Overloaded) as caught:
        await it.pool.acquire(Patience(connect=60, queue=0.05))
    assert caught.value.code == "pool_timeout"
    assert it.counts == (1, 0, 0)


# -- a name that moves --


class Moving:
    """A name whose addresses a test sets."""

    host = "a"
    fixed = False

    def __init__(self, *addresses: str) -> None:
        self.addresses = frozenset(addresses)


async def test_a_connection_to_an_address_that_is_gone_is_not_used_again() -> None:
    name = Moving("10.0.0.1", "10.0.0.2")
    it = Dialling(name=name)
    idle, busy = await it.pool.acquire(PATIENCE), await it.pool.acquire(PATIENCE)
    it.pool.release(idle)
    it.pool.follow(cast("Name", name))
    assert not idle.closed
    name.addresses = frozenset({"10.0.0.2"})
    it.pool.follow(cast("Name", name))
    assert (idle.closed, busy.closed) == (True, False)
    line = await it.waits()
    assert await line[0] is not busy
    it.pool.release(busy)
    assert busy.closed


async def test_who_waits_is_not_given_one_either() -> None:
    name = Moving("10.0.0.1")
    it = Dialling(max_open=1, name=name)
    one = await it.pool.acquire(PATIENCE)
    line = await it.waits()
    name.addresses = frozenset()
    it.pool.release(one)
    assert await line[0] is not one
    assert one.closed
