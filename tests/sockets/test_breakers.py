"""Breakers, ejection and panic between real sockets: who gets calls, and what is said of it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

import pytest

from sidecar.control.exporter import Exporter
from sidecar.control.shown import show_upstream
from sidecar.policy.breaker import Breaker
from tests.sockets.peers import EVENTS, chunk, until
from tests.sockets.scripted import Cut, Fleet, Scripted, chat, status


def policy(*, panic: bool = True, **breaker: Any) -> dict[str, Any]:
    """No retries; a breaker that opens at half of four calls, for longer than a test takes."""
    usual = {"min_calls": 4, "open": "60s", "jitter": "0%", "trials": 2}
    return {
        "retry": {"max": 0},
        "breaker": {**usual, **breaker},
        "ejection": {"panic": panic},
    }


QUICK: dict[str, Any] = {"open": "20ms", "open_max": "10s"}


def breaker(stage: Fleet, index: int = 0, scope: str = "default") -> Breaker:
    return stage.endpoints[index].breakers[scope]


def state(stage: Fleet, index: int = 0, scope: str = "default") -> str | None:
    return stage.endpoints[index].stats.breakers.get(scope)


async def asks(stage: Fleet, count: int, *lines: bytes) -> list[int]:
    """The statuses of so many calls, one after another."""
    return [(await stage.gets(chat("m", *lines)))[0] for _ in range(count)]


async def is_due(stage: Fleet, index: int = 0) -> None:
    """Until an open breaker lets trials in."""
    until_ = breaker(stage, index).until
    await until(lambda: time.monotonic() >= until_)


# -- opening --


async def test_it_opens_at_its_rate_and_then_the_endpoint_gets_nothing() -> None:
    bad, well = Scripted("bad", always=status(500)), Scripted("well")
    async with Fleet(bad, well, policy=policy()) as stage:
        while bad.calls < 4:
            assert state(stage) is None
            await asks(stage, 1)
        assert (state(stage), state(stage, 1)) == ("open", None)
        assert await asks(stage, 10) == [200] * 10
        assert bad.calls == 4
        assert stage.stats.upstreams["u"].ejected == {"default": [bad.url]}


@pytest.mark.parametrize(("good", "opened"), [(2, True), (3, False)])
async def test_the_rate_is_a_share_of_all_calls(good: int, opened: bool) -> None:
    one = Scripted("one", *[status(200)] * good, status(503), status(503))
    async with Fleet(one, policy=policy()) as stage:
        await asks(stage, good + 2)
        assert (state(stage) == "open") == opened


@pytest.mark.parametrize("code", [400, 401, 404, 422])
async def test_what_the_caller_caused_does_not_count(code: int) -> None:
    one = Scripted("one", always=status(code))
    async with Fleet(one, policy=policy()) as stage:
        await asks(stage, 6)
        assert (state(stage), breaker(stage).window.failures) == (None, 0)


async def test_slow_calls_open_it() -> None:
    slow, quick = Scripted("slow", always="wait"), Scripted("quick")
    rates: dict[str, Any] = {"slow_after": "5ms", "slow_rate": "100%", "min_calls": 2}
    async with Fleet(slow, quick, policy=policy(**rates)) as stage:
        calls = [stage.begins(stage.gets(chat())) for _ in range(4)]
        await until(lambda: slow.calls == 2)
        await asyncio.sleep(0.01)
        slow.gate.set()
        assert {(await call)[0] for call in calls} == {200}
        assert state(stage) == "open"
        assert await asks(stage, 4) == [200] * 4
        assert slow.calls == 2


async def test_a_stream_that_breaks_after_its_head_counts() -> None:
    one = Scripted("one", always=Cut(EVENTS + chunk(b"data: 1\n\n")))
    async with Fleet(one, policy=policy()) as stage:
        for _ in range(4):
            client = await stage.client()
            await client.sends(chat(stream=True))
            await client.until(b"upstream_truncated")
        await until(lambda: state(stage) == "open")
        assert stage.route.errors == {"upstream_truncated": 4}


async def test_a_caller_that_leaves_counts_as_nothing() -> None:
    one = Scripted("one", always="hang")
    async with Fleet(one, policy=policy()) as stage:
        for number in range(5):
            client = await stage.client()
            await client.sends(chat())
            await until(lambda number=number: one.calls == number + 1)  # type: ignore[misc]
            client.closes()
        await stage.is_at_rest()
        assert (state(stage), len(breaker(stage).window)) == (None, 0)


# -- half-open --


async def opened(stage: Fleet, bad: Scripted) -> None:
    """The first endpoint's breaker opens, and may be tried from now on."""
    while state(stage) != "open":
        await asks(stage, 1)
    bad.acts, bad.always, bad.requests = [], "wait", []
    await is_due(stage)


async def test_so_many_trials_at_once_and_no_more() -> None:
    bad, well = Scripted("bad", always=status(500)), Scripted("well")
    async with Fleet(bad, well, policy=policy(**QUICK)) as stage:
        await opened(stage, bad)
        calls = [stage.begins(stage.gets(chat())) for _ in range(20)]
        await until(lambda: bad.calls + well.calls >= 20)
        assert (bad.calls, state(stage)) == (2, "half_open")
        assert stage.endpoints[0].load.in_flight == 2
        bad.gate.set()
        assert {(await call)[0] for call in calls} == {200}
        assert state(stage) == "closed"
        await asks(stage, 4)
        assert bad.calls == 4
        assert stage.endpoints[0].stats.transitions == {"open": 1, "half_open": 1, "closed": 1}


async def test_a_failed_trial_opens_it_for_longer() -> None:
    bad, well = Scripted("bad", always=status(500)), Scripted("well")
    async with Fleet(bad, well, policy=policy(**QUICK)) as stage:
        for length in (0.02, 0.04, 0.08):
            while state(stage) != "open":
                await asks(stage, 1)
            held = breaker(stage)
            assert held.until - held._storage.changed_at == pytest.approx(length)
            await is_due(stage)
            while state(stage) == "open" and held.until < time.monotonic():
                await asks(stage, 1)  # the trial, when it is the endpoint's turn
        assert stage.endpoints[0].stats.transitions["open"] >= 3


async def test_a_trial_whose_caller_leaves_is_given_back() -> None:
    bad, well = Scripted("bad", always=status(500)), Scripted("well")
    async with Fleet(bad, well, policy=policy(**QUICK)) as stage:
        await opened(stage, bad)
        while bad.calls < 2:
            client, seen = await stage.client(), bad.calls + well.calls
            await client.sends(chat())
            await until(lambda seen=seen: bad.calls + well.calls > seen)  # type: ignore[misc]
            client.closes()
        await until(lambda: bad.broken == 2)
        assert state(stage) == "half_open"
        bad.always = None
        while state(stage) != "closed":
            assert await asks(stage, 1) == [200]
        assert stage.endpoints[0].stats.transitions["open"] == 1


async def test_calls_of_before_say_nothing_in_a_trial() -> None:
    bad, well = Scripted("bad", "wait", always=status(500)), Scripted("well", "wait")
    bad.answer = status(500)
    async with Fleet(bad, well, policy=policy(**QUICK)) as stage:
        early = [stage.begins(stage.gets(chat())) for _ in range(2)]
        await until(lambda: bad.calls and well.calls)
        while state(stage) != "open":
            await asks(stage, 1)
        await is_due(stage)
        bad.always = None
        while state(stage) != "half_open":
            assert await asks(stage, 1) == [200]
        bad.gate.set()
        well.gate.set()
        assert sorted([(await call)[0] for call in early]) == [200, 500]
        assert state(stage) == "half_open"
        while state(stage) != "closed":
            assert await asks(stage, 1) == [200]
        assert stage.endpoints[0].stats.transitions == {"open": 1, "half_open": 1, "closed": 1}


@pytest.mark.parametrize("panic", [True, False])
async def test_when_all_are_on_trial(panic: bool) -> None:
    """Beyond the trials, panic decides; whichever way, what is in flight is counted."""
    one, two = Scripted("1", always=status(500)), Scripted("2", always=status(500))
    async with Fleet(one, two, policy=policy(panic=panic, **QUICK)) as stage:
        while not state(stage) == state(stage, 1) == "open":
            await asks(stage, 1)
        for server in (one, two):
            server.always, server.requests = "wait", []
        await is_due(stage)
        await is_due(stage, 1)
        calls = [stage.begins(stage.gets(chat())) for _ in range(10)]
        goes = 10 if panic else 4
        await until(lambda: one.calls + two.calls == goes)
        await until(lambda: sum(call.done() for call in calls) == 10 - goes)
        assert sum(endpoint.load.in_flight for endpoint in stage.endpoints) == goes
        one.gate.set()
        two.gate.set()
        statuses = sorted([(await call)[0] for call in calls])
        assert statuses == [200] * goes + [503] * (10 - goes)
        assert state(stage) == state(stage, 1) == "closed"
        assert sum(endpoint.load.in_flight for endpoint in stage.endpoints) == 0


# -- all are out --


async def test_panic(caplog: pytest.LogCaptureFixture) -> None:
    one, two = Scripted("1", always=status(500)), Scripted("2", always=status(500))
    async with Fleet(one, two, policy=policy(min_calls=2)) as stage:
        with caplog.at_level(logging.INFO, "sidecar"):
            await asks(stage, 6)
            assert min(one.calls, two.calls) >= 2
            assert state(stage) == state(stage, 1) == "open"
            calls = one.calls + two.calls
            one.always = two.always = None
            assert await asks(stage, 6) == [200] * 6  # calls go on
        assert one.calls + two.calls == calls + 6
        metrics = Exporter(stage.stats).render("")[0].decode()
        assert 'sidecar_upstream_panic{scope="default",upstream="u"} 1.0' in metrics
        shown = show_upstream(stage.serving.snapshot.upstreams["u"], stage.stats.upstreams["u"])
        assert (shown["panic"], shown["ejected"]) == (["default"], {})
        said = [r.getMessage() for r in caplog.records if "panic" in r.getMessage()]
        assert said == ["panic: every endpoint is ejected, so all are tried"]


async def test_panic_ends_with_the_first_that_may_be_tried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, two = Scripted("1", always=status(500)), Scripted("2", always=status(500))
    async with Fleet(one, two, policy=policy(min_calls=2, **QUICK)) as stage:
        with caplog.at_level(logging.INFO, "sidecar"):
            while not stage.stats.upstreams["u"].panic.get("default"):
                await asks(stage, 1)
            one.always = two.always = None
            while not state(stage) == state(stage, 1) == "closed":
                await asks(stage, 1)
            await asks(stage, 1)
        assert stage.stats.upstreams["u"].panic == {"default": False}
        assert "panic is over: some endpoints are in rotation again" in caplog.text


async def test_without_panic_calls_are_refused() -> None:
    one = Scripted("1", always=status(500))
    async with Fleet(one, policy=policy(panic=False)) as stage:
        await asks(stage, 4)
        got, body, reply = await stage.gets(chat())
        assert (got, reply.code) == (503, "no_healthy_endpoint")
        assert json.loads(body)["error"]["code"] == "no_healthy_endpoint"
        assert one.calls == 4
        shown = show_upstream(stage.serving.snapshot.upstreams["u"], stage.stats.upstreams["u"])
        assert (shown["panic"], shown["ejected"]) == ([], {"default": [one.url]})


async def test_only_a_share_may_be_out() -> None:
    bad = [Scripted(str(n), always=status(500)) for n in range(3)]
    settings = policy(min_calls=1)
    settings["ejection"] = {"max_ejected": "50%"}
    async with Fleet(*bad, Scripted("well"), policy=settings) as stage:
        await asks(stage, 12)
        assert [state(stage, n) for n in range(4)] == ["open"] * 3 + [None]
        assert len(stage.stats.upstreams["u"].ejected["default"]) == 2
        seen = [server.calls for server in bad]
        await asks(stage, 4)
        assert sum(s.calls > before for s, before in zip(bad, seen, strict=True)) == 1


# -- whose breaker --


async def test_two_policies_judge_for_themselves() -> None:
    bad, well = Scripted("bad"), Scripted("well")
    routes = [
        {"name": "strict", "match": {"headers": {"x-s": "strict"}}, "upstream": "u",
         "policy": "strict"},
        {"name": "mild", "upstream": "u", "policy": "mild"},
    ]  # fmt: skip
    stage = Fleet(bad, well, policy=policy(min_calls=5), routes=routes)
    stage.config["policies"]["strict"] = {"breaker": {"failure_rate": "20%"}}
    stage.config["policies"]["mild"] = {"breaker": {"failure_rate": "50%"}}
    async with stage:
        # Of five calls of each service to the first endpoint, two fail: 40 %.
        for lines in ([b"x-s: strict"], []):
            bad.requests, bad.acts = [], [status(500), status(500)]
            while bad.calls < 5:
                await asks(stage, 1, *lines)
        assert state(stage, 0, "policy:strict") == "open"
        assert state(stage, 0, "policy:mild") is None
        seen = bad.calls
        await asks(stage, 6, b"x-s: strict")
        assert bad.calls == seen
        await asks(stage, 6)
        assert bad.calls == seen + 3


# -- changes --


async def test_a_reload_changes_numbers_and_keeps_the_state() -> None:
    bad, well = Scripted("bad", always=status(500)), Scripted("well")
    async with Fleet(bad, well, policy=policy(trials=1)) as stage:
        while state(stage) != "open":
            await asks(stage, 1)
        held, until_ = breaker(stage), breaker(stage).until
        stage.config["policies"]["default"]["breaker"]["open"] = "30ms"
        stage.config["policies"]["default"]["breaker"]["trials"] = 3
        await stage.apply()
        seen = bad.calls
        assert await asks(stage, 4) == [200] * 4
        assert bad.calls == seen
        assert breaker(stage) is held
        assert (held.status, held.until, held.settings.trials) == ("open", until_, 3)


async def test_an_open_breaker_that_is_configured_away_lets_calls_pass() -> None:
    one = Scripted("one", always=status(500))
    async with Fleet(one, policy=policy(panic=False)) as stage:
        assert await asks(stage, 5) == [500] * 4 + [503]
        stage.config["policies"]["default"]["breaker"] = None
        await stage.apply()
        assert await asks(stage, 5) == [500] * 5


async def test_changes_are_told(caplog: pytest.LogCaptureFixture) -> None:
    bad, well = Scripted("bad", always=status(500)), Scripted("well")
    async with Fleet(bad, well, policy=policy(trials=1, **QUICK)) as stage:
        with caplog.at_level(logging.INFO, "sidecar"):
            await opened(stage, bad)
            bad.always = None
            while state(stage) != "closed":
                await asks(stage, 1)
        told = [
            (r.levelname, r.getMessage(), r.__dict__["before"])
            for r in caplog.records
            if r.getMessage().startswith("breaker")
        ]
        assert told == [
            ("WARNING", "breaker open", "closed"),
            ("INFO", "breaker half-open", "open"),
            ("INFO", "breaker closed", "half_open"),
        ]
        record = next(r for r in caplog.records if r.getMessage() == "breaker open")
        about = [record.__dict__[key] for key in ("upstream", "endpoint", "scope")]
        assert about == ["u", bad.url, "default"]
        metrics = Exporter(stage.stats).render("")[0].decode()
        where = f'endpoint="{bad.url}"'
        assert f'breaker_state{{{where},scope="default",state="closed",upstream="u"}} 1' in metrics
        for word in ("open", "half_open", "closed"):
            counted = f'breaker_transitions_total{{{where},state="{word}",upstream="u"}} 1.0'
            assert counted in metrics
