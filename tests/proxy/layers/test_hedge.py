"""Which of two attempts wins, whatever the order in which they end."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sidecar.errors import TimedOut
from sidecar.observe.stats import RouteStats
from sidecar.policy.admission import Admission, AdmissionSettings
from sidecar.policy.budget import Budget, BudgetSettings
from sidecar.policy.quantile import Quantile
from sidecar.proxy.layers.hedge import Hedge, HedgeSettings
from sidecar.proxy.request import Request
from tests.sockets.peers import until

ASKED = Request(b"POST", b"/", cast("Any", None))


class Exchange:
    def __init__(self, status: int) -> None:
        self.head = SimpleNamespace(status=status)
        self.abandoned = False

    def abandon(self) -> None:
        self.abandoned = True


class Attempts:
    """A layer whose attempts end when the test says so."""

    def __init__(self) -> None:
        self.futures: list[asyncio.Future[Exchange]] = []
        self.requests: list[Request] = []

    async def __call__(self, call: object, request: Request) -> Exchange:
        self.requests.append(request)
        future: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        self.futures.append(future)
        return await future


def ends(future: asyncio.Future[Exchange], how: int) -> Exchange | None:
    if not how:
        future.set_exception(TimedOut("no", code="first_byte_timeout"))
        return None
    exchange = Exchange(how)
    future.set_result(exchange)
    return exchange


def told(what: str, text: str) -> None:
    """As a call's `note`."""


async def two(observed: Quantile | None = None) -> tuple[asyncio.Task[Any], Attempts]:
    """A call whose second attempt has begun."""
    attempts = Attempts()
    settings = HedgeSettings(0.0, 0.95, 1, frozenset({500}))
    budget = Budget(BudgetSettings(1.0, 10.0, 10.0))
    hedge = Hedge(
        cast("Any", attempts),
        settings,
        budget,
        observed or Quantile(),
        RouteStats(),
        lambda _: True,
    )
    call = SimpleNamespace(body=SimpleNamespace(complete=True), note=told)
    task = asyncio.create_task(cast("Any", hedge(cast("Any", call), ASKED)))
    while len(attempts.futures) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0)
    return task, attempts


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [(200, 200, None), (500, 200, 1), (200, 500, 0), (0, 200, 1), (200, 0, 0), (500, 500, None)],
)
async def test_a_good_head_wins(
    first: int, second: int, winner: int | None, together: bool
) -> None:
    task, attempts = await two()
    exchanges = [ends(attempts.futures[0], first)]
    if not together:
        for _ in range(5):
            await asyncio.sleep(0)
    if not attempts.futures[1].done():
        exchanges.append(ends(attempts.futures[1], second))
    won = await task
    assert won in exchanges
    assert winner is None or won is exchanges[winner]
    assert not won.abandoned
    assert all(other.abandoned for other in exchanges if other is not None and other is not won)


@pytest.mark.parametrize(
    ("first", "second", "counted"),
    [(200, None, 1), (None, 200, 2), (0, 200, 2), (500, 200, 1), (500, 500, 0)],
)
async def test_what_was_given_up_counts_too(
    first: int | None, second: int | None, counted: int
) -> None:
    """The first, that is: the second was given less time than anybody else."""
    observed = Quantile()
    task, attempts = await two(observed)
    for future, how in zip(attempts.futures, (first, second), strict=True):
        if how is not None:
            ends(future, how)
            for _ in range(5):
                await asyncio.sleep(0)
    await task
    assert observed.value(1.0, counted) is not None or not counted
    assert observed.value(1.0, counted + 1) is None


async def test_who_began_before_it_was_known_what_is_late_is_hedged_then() -> None:
    attempts, observed = Attempts(), Quantile()
    settings = HedgeSettings(None, 0.5, 3, frozenset())
    budget = Budget(BudgetSettings(1.0, 10.0, 10.0))
    hedge = Hedge(cast("Any", attempts), settings, budget, observed, RouteStats(), lambda _: True)
    call = SimpleNamespace(body=SimpleNamespace(complete=True), note=told)
    task = asyncio.create_task(cast("Any", hedge(cast("Any", call), ASKED)))
    await asyncio.sleep(0.2)
    assert len(attempts.futures) == 1
    for _ in range(3):
        observed.observe(0.01)
    await until(lambda: len(attempts.futures) == 2)
    won = ends(attempts.futures[1], 200)
    assert await task is won


@pytest.mark.parametrize(("wanted", "budget"), [(False, 10.0), (True, 0.0)])
async def test_a_second_that_may_not_be(wanted: bool, budget: float) -> None:
    attempts = Attempts()
    settings = HedgeSettings(0.0, 0.95, 1, frozenset())
    bound = Budget(BudgetSettings(0.0, budget, 10.0))
    hedge = Hedge(
        cast("Any", attempts), settings, bound, Quantile(), RouteStats(), lambda _: wanted
    )
    call = SimpleNamespace(body=SimpleNamespace(complete=True), note=told)
    task = asyncio.create_task(cast("Any", hedge(cast("Any", call), ASKED)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert [request.why for request in attempts.requests] == ["first"]
    won = ends(attempts.futures[0], 200)
    assert await task is won


async def test_both_may_raise() -> None:
    task, attempts = await two()
    for future in attempts.futures:
        ends(future, 0)
    with pytest.raises(TimedOut):
        await task


async def test_who_leaves_ends_both() -> None:
    task, attempts = await two()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(future.cancelled() for future in attempts.futures)


async def test_a_slot_is_given_back_however_often_the_call_is_cancelled() -> None:
    async def slow_to_end(*args: object) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            for _ in range(9):
                await asyncio.sleep(0)

    places = Admission(AdmissionSettings(9, 9, 9, 1.0, 9.0))
    settings = HedgeSettings(0.0, 0.95, 1, frozenset())
    budget = Budget(BudgetSettings(1.0, 10.0, 10.0))
    inner, call = (
        cast("Any", slow_to_end),
        SimpleNamespace(body=SimpleNamespace(complete=True), note=told),
    )
    hedge = Hedge(inner, settings, budget, Quantile(), RouteStats(), lambda _: True, places)
    task = asyncio.create_task(cast("Any", hedge(cast("Any", call), ASKED)))
    await until(lambda: places.in_flight)
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([task])
    assert not places.in_flight
