"""An upstream that fails wholly, and how many calls it gets: retries must not become a storm."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.sockets.peers import Peer
from tests.sockets.scripted import Act, Fleet, Scripted, chat, status

CLIENTS = 10
CALLS = 40
"""Of each client."""
ALL = CLIENTS * CALLS
RATIO = 0.2
WINDOW = 10.0
EAGER: dict[str, Any] = {"max": 10}
"""Ten retries each, if the budget lets them."""


def floor(per_second: float) -> float:
    """Retries that are allowed however few calls there are: a test is shorter than the window."""
    return per_second * WINDOW * 1.1


Calls = Callable[[Fleet, Peer], Awaitable[None]]


async def once(stage: Fleet, client: Peer) -> None:
    """What an application without retries does."""
    assert (await stage.gets(chat(), client))[0] in (500, 502)


async def as_the_sdk(stage: Fleet, client: Peer) -> None:
    """Two retries, unless x-should-retry forbids them: so the OpenAI and Anthropic SDKs."""
    for count in range(3):
        request = chat("m", b"x-stainless-retry-count: %d" % count)
        _, _, reply = await stage.gets(request, client)
        if reply["x-should-retry"] == "false":
            return


async def stubborn(stage: Fleet, client: Peer) -> None:
    """Ten retries, whatever it is told."""
    for _ in range(11):
        await stage.gets(chat(), client)


async def storm(stage: Fleet, call: Calls, clients: int = CLIENTS, calls: int = CALLS) -> int:
    """The upstream's calls when so many clients make so many each, at once."""

    async def caller() -> None:
        client = await stage.client()
        for _ in range(calls):
            await call(stage, client)

    for task in [stage.begins(caller()) for _ in range(clients)]:
        await task
    return sum(server.calls for server in stage.fleet)


FAILS: list[Act] = [status(500), "reset"]


@pytest.mark.parametrize("act", FAILS, ids=["500", "reset"])
@pytest.mark.parametrize("per_second", [0, 10])
@pytest.mark.parametrize("breaker", [None, {"min_calls": 10}])
async def test_a_fifth_more_and_the_floor(act: Act, per_second: float, breaker: Any) -> None:
    servers = [Scripted(str(n), always=act) for n in range(2)]
    retry = {**EAGER, "budget": {"min_per_second": per_second}}
    async with Fleet(*servers, policy={"retry": retry, "breaker": breaker}) as stage:
        got = await storm(stage, once)
        assert ALL < got <= (1 + RATIO) * ALL + floor(per_second)
        assert got >= 1.15 * ALL  # retries there are
        assert stage.route.budget_exhausted > 0


async def test_fixed_retries_make_eleven_times_as_many() -> None:
    """What the budget is measured against: the same failing upstream, retried by the caller."""
    one = Scripted("one", always=status(500))
    async with Fleet(one, policy={"retry": {"max": 0}}) as stage:
        assert await storm(stage, stubborn, calls=4) == 11 * CLIENTS * 4


async def test_an_sdk_that_heeds_the_reply_stops() -> None:
    """Its retries are paid for by the same budget, though each is a call that adds to it.

    With R retries of both, R <= 0.2 (N + R) + floor, so that N + R <= 1.25 (N + floor).
    """
    one = Scripted("one", always=status(500))
    async with Fleet(one, policy={"retry": EAGER}) as stage:
        got = await storm(stage, as_the_sdk)
        assert got <= 1.25 * (ALL + floor(10))
        assert sum(stage.route.statuses.values()) < 1.25 * (ALL + floor(10))


async def test_an_sdk_alone_triples_them() -> None:
    """Where nobody says x-should-retry: what the line above is measured against."""
    one = Scripted("one", always=status(500))
    async with Fleet(one, policy={"retry": {"max": 0}}) as stage:
        assert await storm(stage, as_the_sdk, calls=4) == 3 * CLIENTS * 4


async def test_when_it_recovers_retries_do_too() -> None:
    """A storm leaves nothing behind: the first failure after it may be tried again."""
    one = Scripted("one", always=status(500))
    budget = {"min_per_second": 10, "window": "200ms"}
    async with Fleet(one, policy={"retry": {**EAGER, "budget": budget}}) as stage:
        await storm(stage, once, calls=10)
        one.always = None
        client = await stage.client()
        while True:  # until the window has moved on
            one.acts = [status(500)]
            got, _, reply = await stage.gets(chat(), client)
            if got == 200:
                return
            assert reply["x-should-retry"] == "false"
