"""Calls that take their turn at a provider's quota."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from sidecar.policy.pace import _SLOW_GROWTH
from sidecar.proxy.layers import hedge
from sidecar.proxy.layers.turns import Quota
from tests.sockets.peers import until
from tests.sockets.scripted import Fleet, Scripted, chat, status
from tests.sockets.test_fallbacks import TO_B, fleet

NO_RETRY = {"retry": {"max": 0}}


def level(remaining: int, limit: int = 600, code: int = 200, *lines: bytes) -> bytes:
    """A reply that tells how full the bucket of requests is."""
    return status(
        code,
        b"x-ratelimit-limit-requests: %d" % limit,
        b"x-ratelimit-remaining-requests: %d" % remaining,
        b"x-ratelimit-reset-requests: 1s",
        *lines,
    )


def pace(**settings: Any) -> dict[str, Any]:
    return {"pace": {"max_wait": "90s", **settings}}


def quota(stage: Fleet, name: str = "u") -> Quota:
    return cast("Quota", stage.stats.quotas[name])


def rate(stage: Fleet, name: str = "u") -> float:
    (line,) = quota(stage, name).lines.limiters()
    return line.policy.rates()["requests"]


async def test_replies_steer_the_pace() -> None:
    one = Scripted("one", level(600), level(300), level(0))
    async with Fleet(one, upstream=pace(), policy=NO_RETRY) as stage:
        paces = []
        for _ in range(2):
            assert (await stage.gets(chat()))[0] == 200
            paces.append(rate(stage))
        assert 9 < paces[0] <= 10
        assert paces[1] < 1


async def test_who_comes_too_fast_waits_its_turn() -> None:
    one = Scripted("one", level(600), always=level(600))
    async with Fleet(one, upstream=pace(), policy=NO_RETRY) as stage:
        assert (await stage.gets(chat()))[0] == 200
        clients = [await stage.client() for _ in range(40)]
        for client in clients:
            await client.sends(chat())
        await until(lambda: quota(stage).waiting > 0)
        for client in clients:
            assert (await client.reply()).status == 200
        assert one.calls == 41
        assert quota(stage).waiting == quota(stage).refused == 0


async def test_an_exhausted_quota_refuses_who_would_wait_too_long() -> None:
    one = Scripted("one", always=level(0))
    async with Fleet(one, upstream=pace(max_wait="10ms"), policy=NO_RETRY) as stage:
        assert (await stage.gets(chat()))[0] == 200
        got = [(await stage.gets(chat()))[2] for _ in range(2)]
        assert got[-1].status == 429
        assert got[-1].code == "quota_spent"
        assert int(got[-1]["retry-after"]) >= 1
        assert quota(stage).refused >= 1
        assert one.calls < 3


async def test_the_queue_is_bounded_and_who_leaves_it_is_forgotten() -> None:
    one = Scripted("one", always=level(0, 60))
    async with Fleet(one, upstream=pace(max_waiting=2), policy=NO_RETRY) as stage:
        assert (await stage.gets(chat()))[0] == 200
        clients = [await stage.client() for _ in range(6)]
        for client in clients:
            await client.sends(chat())
        await until(lambda: quota(stage).refused == 6 - 2 - (one.calls - 1))
        assert quota(stage).waiting == 2
        for client in clients:
            client.closes()
        await until(lambda: quota(stage).waiting == 0)


async def test_a_refusal_of_the_provider_stops_the_calls_for_its_time_and_halves_the_pace() -> None:
    refused = level(600, 600, 429, b"retry-after-ms: 300", b"content-type: application/json")
    one = Scripted("one", refused)
    async with Fleet(one, upstream=pace(), policy=NO_RETRY) as stage:
        assert (await stage.gets(chat()))[0] == 429
        assert quota(stage).throttled == 1
        assert quota(stage).eased < 0.6
        client = await stage.client()
        await client.sends(chat())
        await until(lambda: quota(stage).waiting == 1)
        assert (await client.reply()).status == 200


JSON = b"content-type: application/json"
DAILY = {
    "code": 429,
    "status": "RESOURCE_EXHAUSTED",
    "message": "no",
    "details": [
        {
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
        }
    ],
}


@pytest.mark.parametrize(
    ("error", "throttled"),
    [
        ({"code": "insufficient_quota", "message": "no"}, 0),
        ({"code": "slow_down", "message": "no"}, 1),
        ({"code": "rate_limit_exceeded", "message": "no"}, 1),
        (DAILY, 0),
    ],
)
async def test_only_a_limit_of_a_minute_slows_the_pace(
    error: dict[str, Any], throttled: int
) -> None:
    body = json.dumps({"error": error}).encode()
    one = Scripted("one", level(600), status(429, JSON, body=body))
    async with Fleet(one, upstream=pace(), policy=NO_RETRY) as stage:
        assert (await stage.gets(chat()))[0] == 200
        assert (await stage.gets(chat()))[0] == 429
        assert quota(stage).throttled == throttled
        assert (quota(stage).eased < 1) == bool(throttled)
        (line,) = quota(stage).lines.limiters()
        assert (line.policy._growth == _SLOW_GROWTH) == (error["code"] == "slow_down")


async def test_a_refusal_with_status_200_counts_too() -> None:
    body = json.dumps({"error": {"code": "rate_limit_exceeded", "message": "no"}}).encode()
    one = Scripted("one", status(200, JSON, body=body))
    policy = {"retry": {"max": 1}}
    async with Fleet(one, upstream=pace(), policy=policy) as stage:
        assert (await stage.gets(chat()))[0] == 200
        assert (one.calls, quota(stage).throttled) == (2, 1)


async def test_answers_teach_what_calls_will_cost() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 37}
    choices = [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}]
    body = {"object": "chat.completion", "id": "1", "model": "m", "usage": usage}
    whole = json.dumps({**body, "choices": choices}).encode()
    one = Scripted("one", status(200, JSON, body=whole))
    async with Fleet(one, upstream=pace(), policy=NO_RETRY) as stage:
        assert (await stage.gets(chat()))[0] == 200
        await until(lambda: quota(stage).outputs.expected("m") == 37)


async def test_a_call_that_gets_no_turn_goes_to_the_fallback() -> None:
    a, b = Scripted("a", always=level(0)), Scripted("b")
    more = {"a": pace(max_wait="1ms")}
    async with fleet(TO_B, a, b, policy=NO_RETRY, more=more) as stage:
        got = [(await stage.gets(chat()))[:2] for _ in range(3)]
        assert got[-1] == (200, b"b")


async def test_upstreams_of_one_quota_share_a_pace_and_models_have_their_own() -> None:
    a, b = Scripted("a", always=level(0)), Scripted("b", always=level(0))
    shared = pace(quota="team", max_wait="1ms")
    routes = [
        {"name": "r", "upstream": "a", "match": {"path": "/v1"}},
        {"name": "s", "upstream": "b", "match": {"path": "/v2"}},
    ]
    upstreams = {s.name: {"endpoints": [{"url": s.url}], **shared} for s in (a, b)}
    async with Fleet(a, b, routes=routes, upstreams=upstreams, policy=NO_RETRY) as stage:
        assert list(stage.stats.quotas) == ["team"]
        other = chat().replace(b"/v1/", b"/v2/")
        assert (await stage.gets(chat()))[0] == 200
        got = [(await stage.gets(other))[2] for _ in range(2)]
        assert got[-1].code == "quota_spent"
        assert (await stage.gets(chat("another")))[0] == 200


async def test_the_pace_survives_a_reload_and_goes_with_its_setting() -> None:
    one = Scripted("one", always=level(300))
    async with Fleet(one, upstream=pace(), policy=NO_RETRY) as stage:
        assert (await stage.gets(chat()))[0] == 200
        before = quota(stage)
        stage.config["upstreams"]["u"]["pace"]["max_wait"] = "80s"
        await stage.apply()
        assert quota(stage) is before
        del stage.config["upstreams"]["u"]["pace"]
        await stage.apply()
        assert stage.stats.quotas == {}
        assert (await stage.gets(chat()))[0] == 200


HEDGES: dict[str, Any] = {"hedge": {"after": "20ms"}, "retry": {"max": 0}}


async def test_a_hedge_without_a_turn_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    why: list[str] = []
    monkeypatch.setattr(hedge, "_no_hedge", lambda _, reason: why.append(reason))
    one = Scripted("one", level(300), "wait", always=level(300))
    async with Fleet(one, upstream=pace(), policy=HEDGES) as stage:
        assert (await stage.gets(chat()))[0] == 200
        call = stage.begins(stage.gets(chat()))
        await until(lambda: one.calls == 2)
        await until(lambda: why == ["the provider's quota has no room"])
        one.gate.set()
        assert (await call)[0] == 200
        assert (one.calls, stage.route.hedges) == (2, 0)
        assert quota(stage).refused == quota(stage).waiting == 0


async def test_a_hedge_takes_a_turn() -> None:
    one, two = (Scripted(name, level(600), always="wait") for name in ("one", "two"))
    async with Fleet(one, two, upstream=pace(), policy=HEDGES) as stage:
        for _ in range(2):
            assert (await stage.gets(chat()))[0] == 200
        calls = [stage.begins(stage.gets(chat())) for _ in range(2)]
        await until(lambda: one.calls + two.calls == 2 + 4)
        assert stage.route.hedges == 2
        (line,) = quota(stage).lines.limiters()
        assert line.policy._buckets["requests"]._sent == 1 + 4  # the first told of the quota
        for server in (one, two):
            server.gate.set()
        for call in calls:
            assert (await call)[0] == 200


async def test_who_waits_for_a_turn_is_not_late() -> None:
    one = Scripted("one", level(600, 600, 429, b"retry-after-ms: 1500"), always=level(600))
    policy = {**HEDGES, "hedge": {"after": "1s"}}
    async with Fleet(one, upstream=pace(), policy=policy) as stage:
        assert (await stage.gets(chat()))[0] == 429
        assert (await stage.gets(chat()))[0] == 200
        assert (one.calls, stage.route.hedges) == (2, 0)
