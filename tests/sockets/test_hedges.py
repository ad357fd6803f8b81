"""A second attempt beside a slow first: when, where, who wins, and what becomes of the loser."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sidecar.proxy import serve as serving
from sidecar.proxy.call import Call
from sidecar.proxy.layers.attempt import Attempt
from sidecar.proxy.recorder import Recorder
from tests.sockets.peers import CHUNKED, EVENTS, chunk, post, until
from tests.sockets.scripted import Fleet, Scripted, chat, status

SOON: dict[str, Any] = {"hedge": {"after": "20ms"}}


async def test_the_first_head_wins_and_the_loser_is_closed_at_once() -> None:
    slow, quick = Scripted("slow", always="hang"), Scripted("quick")
    async with Fleet(slow, quick, policy=SOON) as fleet:
        for _ in range(4):
            assert (await fleet.gets(chat()))[:2] == (200, b"quick")
        await until(lambda: slow.broken == slow.calls)
        assert slow.calls == fleet.route.hedges == fleet.route.hedges_won >= 1
        assert fleet.route.retries == {}


async def test_a_first_attempt_that_is_quick_is_not_hedged() -> None:
    one, two = Scripted("one"), Scripted("two")
    async with Fleet(one, two, policy={"hedge": {"after": "5s"}}) as fleet:
        for _ in range(4):
            assert (await fleet.gets(chat()))[0] == 200
        assert (one.calls + two.calls, fleet.route.hedges) == (4, 0)


async def test_the_first_attempt_may_still_win() -> None:
    one, two = Scripted("one", "wait"), Scripted("two", "wait")
    async with Fleet(one, two, policy=SOON) as fleet:
        call = fleet.begins(fleet.gets(chat()))
        await until(lambda: one.calls or two.calls)
        first = one if one.calls else two
        await until(lambda: one.calls and two.calls)
        first.gate.set()
        got, body, _ = await call
        assert (got, body) == (200, first.name.encode())
        assert (fleet.route.hedges, fleet.route.hedges_won) == (1, 0)


async def test_a_bad_head_does_not_win_while_another_may_come() -> None:
    bad, well = Scripted("bad", always="wait"), Scripted("well", always="wait")
    bad.answer = status(500)
    async with Fleet(bad, well, policy=SOON | {"retry": {"max": 0}}) as fleet:
        call = fleet.begins(fleet.gets(chat()))
        await until(lambda: bad.calls and well.calls)
        bad.gate.set()
        await until(lambda: any(e.stats.attempts[500] for e in fleet.endpoints))
        well.gate.set()
        got, body, _ = await call
        assert (got, body) == (200, b"well")


async def test_when_both_fail_the_caller_sees_a_failure_once() -> None:
    one = Scripted("one", always=status(500))
    two = Scripted("two", always=status(500))
    async with Fleet(one, two, policy={"hedge": {"after": "1us"}, "retry": {"max": 0}}) as fleet:
        got, body, _ = await fleet.gets(chat())
        assert (got, body) == (500, b"no")
        assert fleet.route.statuses == {500: 1}


async def test_its_budget_bounds_it() -> None:
    one, two = Scripted("one", always="wait"), Scripted("two", always="wait")
    hedge = {"after": "10ms", "budget": {"ratio": "0%", "min_per_second": 0}}
    async with Fleet(one, two, policy={"hedge": hedge}) as fleet:
        call = fleet.begins(fleet.gets(chat()))
        await until(lambda: one.calls or two.calls)
        await asyncio.sleep(0.05)
        assert (one.calls + two.calls, fleet.route.hedges) == (1, 0)
        one.gate.set()
        two.gate.set()
        assert (await call)[0] == 200


async def test_the_quantile_is_learnt() -> None:
    one, two = Scripted("one"), Scripted("two")
    async with Fleet(one, two, policy={"hedge": {"min_calls": 20}}) as fleet:
        for _ in range(20):
            assert (await fleet.gets(chat()))[0] == 200
        assert fleet.route.hedges <= 1  # the twentieth may already be one
        one.always = two.always = "wait"
        call = fleet.begins(fleet.gets(chat()))
        await until(lambda: fleet.route.hedges)
        one.gate.set()
        two.gate.set()
        assert (await call)[0] == 200


async def test_a_body_that_streams_is_not_hedged() -> None:
    one, two = Scripted("one", "hang"), Scripted("two", "hang")
    async with Fleet(one, two, policy=SOON | {"hold": "1KiB"}) as fleet:
        client = await fleet.client()
        await client.sends(post(5000) + bytes(2000))
        await until(
            lambda: fleet.endpoints[0].stats.bytes_out or fleet.endpoints[1].stats.bytes_out
        )
        await asyncio.sleep(0.05)
        assert fleet.route.hedges == 0


@pytest.mark.parametrize("hedged", [False, True])
async def test_a_caller_that_leaves_ends_both(hedged: bool) -> None:
    one, two = Scripted("one", always="hang"), Scripted("two", always="hang")
    async with Fleet(one, two, policy={"hedge": {"after": "20ms" if hedged else "9s"}}) as fleet:
        client = await fleet.client()
        await client.sends(chat())
        await until(lambda: one.calls + two.calls == 1 + hedged)
        client.closes()
        await until(lambda: one.broken + two.broken == 1 + hedged)
        await fleet.is_at_rest()
        assert fleet.route.errors == {"caller_left": 1}


async def test_a_caller_that_leaves_waits_for_attempts_that_take_long_to_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    under_way, ended = 0, 0

    async def connects(*args: object) -> None:
        nonlocal under_way, ended
        under_way += 1
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            for _ in range(20):  # longer than the connection takes to be lost
                await asyncio.sleep(0)
            ended += 1

    def records(call: Call, recorder: Recorder) -> None:
        at_the_end.append(ended)
        end(call, recorder)

    at_the_end: list[int] = []
    end = serving._end
    monkeypatch.setattr(Attempt, "_connect", connects)
    monkeypatch.setattr(serving, "_end", records)
    async with Fleet(Scripted("one"), Scripted("two"), policy=SOON) as fleet:
        client = await fleet.client()
        await client.sends(chat())
        await until(lambda: under_way == 2)
        client.closes()
        await fleet.is_at_rest()
        assert at_the_end == [2]


async def test_a_stream_of_the_winner_arrives_whole() -> None:
    slow = Scripted("slow", always="hang")
    stream = EVENTS + chunk(b"data: 1\n\n") + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    quick = Scripted("quick", always=stream)
    async with Fleet(slow, quick, policy=SOON) as fleet:
        for _ in range(2):
            assert (await fleet.gets(chat(stream=True)))[1] == b"data: 1\n\ndata: [DONE]\n\n"


async def test_a_hedge_that_can_not_connect_changes_nothing() -> None:
    gone, slow = Scripted("gone"), Scripted("slow", always="wait")
    async with Fleet(gone, slow, policy=SOON | {"retry": {"max": 2}}) as fleet:
        gone.stops()
        call = fleet.begins(fleet.gets(chat()))
        await until(lambda: fleet.route.hedges)
        slow.gate.set()
        assert (await call)[:2] == (200, b"slow")


async def test_a_chunked_request_can_be_hedged() -> None:
    slow, quick = Scripted("slow", always="hang"), Scripted("quick", always="hang")
    async with Fleet(slow, quick, policy=SOON) as fleet:
        quick.always = None
        for _ in range(2):
            got, body, _ = await fleet.gets(CHUNKED + chunk(b"hi") + b"0\r\n\r\n")
            assert (got, body) == (200, b"quick")
        assert fleet.route.hedges_won == slow.calls >= 1


async def test_what_is_outrun_counts_against_its_endpoint() -> None:
    slow, quick = Scripted("slow", always="hang"), Scripted("quick")
    policy = SOON | {"breaker": {"min_calls": 100}}
    async with Fleet(slow, quick, policy=policy) as fleet:
        while slow.calls < 3:
            assert (await fleet.gets(chat()))[:2] == (200, b"quick")
        await fleet.is_at_rest()
        of_slow = next(e for e in fleet.endpoints if e.name == slow.url)
        window = of_slow.breakers["default"].window
        assert (len(window), window.failures + window.slow) == (3, 3)
        assert of_slow.load.errors > 0.2


async def test_a_second_that_is_outrun_was_only_asked_later() -> None:
    one, two = Scripted("one", always="wait"), Scripted("two", always="wait")
    async with Fleet(one, two, policy=SOON) as fleet:
        call = fleet.begins(fleet.gets(chat()))
        await until(lambda: one.calls or two.calls)
        first, second = (one, two) if one.calls else (two, one)
        await until(lambda: second.calls)
        first.gate.set()
        assert (await call)[0] == 200
        await fleet.is_at_rest()
        of_second = next(e for e in fleet.endpoints if e.name == second.url)
        assert len(of_second.breakers["default"].window) == 0
        assert of_second.load.errors == 0
