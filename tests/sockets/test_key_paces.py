"""Keys with quotas of their own: a key whose quota has no turn is passed over for one that has."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import Any

import pytest

from tests.sockets.peers import until
from tests.sockets.scripted import Fleet, chat
from tests.sockets.test_key_pools import (
    BAD_KEY,
    LIMIT,
    MONEY,
    Provider,
    error,
    fleet,
    key_of,
    keys,
    pool,
)
from tests.sockets.test_pacing import level, quota

ROOM = level(600)
FULL = level(0)
"""Of a quota of which nothing is left."""


def paced(provider: Provider, credentials: Any, policy: Any = None, **pace: Any) -> Fleet:
    stage = fleet(provider, credentials, policy=policy or {})
    stage.config["upstreams"]["u"]["pace"] = {"max_wait": "90s", **pace}
    return stage


@pytest.mark.parametrize(
    ("words", "pace", "quotas"),
    [
        ((None, None), None, ["u/key.a", "u/key.b"]),
        (("org", "org"), None, ["org"]),
        (("org", None), None, ["org", "u/key.b"]),
        ((None, None), "team", ["team"]),
        (("org", None), "team", ["org", "team"]),
    ],
)
async def test_keys_of_one_quota_share_a_pace(
    words: tuple[str | None, str | None], pace: str | None, quotas: list[str]
) -> None:
    two = [{**key, "quota": word} for key, word in zip(keys("a", "b"), words, strict=True)]
    async with paced(Provider(a=ROOM, b=ROOM), two, quota=pace) as stage:
        assert list(stage.stats.quotas) == quotas


async def test_a_key_without_a_turn_is_passed_over_for_one_with_room() -> None:
    provider = Provider(a=FULL, b=ROOM)
    async with paced(provider, keys("a", weight=1000) + keys("b")) as stage:
        for _ in range(20):
            assert (await stage.gets(chat()))[0] == 200
        # One tells that the quota is full; what may go at once is nothing then.
        assert Counter(provider.keys)["a"] <= 2
        assert quota(stage, "u/key.a").refused == quota(stage, "u/key.b").refused == 0


async def test_among_keys_with_room_calls_are_shared_by_weight() -> None:
    random.seed(1)
    weights = {"a": 5, "b": 3, "c": 1}
    three = [key for name, weight in weights.items() for key in keys(name, weight=weight)]
    provider = Provider(**dict.fromkeys(weights, level(10**9, 10**9)))
    calls = 450
    async with paced(provider, three) as stage:
        for _ in range(calls):
            assert (await stage.gets(chat()))[0] == 200
    got = Counter(provider.keys)
    expected = {name: calls * weight / 9 for name, weight in weights.items()}
    chi_square = sum((got[name] - of) ** 2 / of for name, of in expected.items())
    assert chi_square < 13.8  # two degrees of freedom: more is one case in a thousand


async def test_money_that_runs_out_on_one_key_costs_no_call() -> None:
    provider = Provider(a=error(429, MONEY), b=ROOM)
    async with paced(provider, keys("a", "b")) as stage:
        clients = [await stage.client() for _ in range(20)]
        for client in clients:
            await client.sends(chat())
        assert {(await client.reply()).status for client in clients} == {200}
        for _ in range(5):
            assert (await stage.gets(chat()))[0] == 200
        assert Counter(provider.keys)["b"] == 25
        assert quota(stage, "u/key.b").throttled == quota(stage, "u/key.b").refused == 0


async def test_a_call_waits_for_all_keys_and_goes_with_the_first_that_has_a_turn() -> None:
    later = error(429, LIMIT, b"retry-after: 50")
    provider = Provider(a=later, b=error(429, LIMIT, b"retry-after-ms: 600"))
    async with paced(provider, keys("a", weight=1000) + keys("b")) as stage:
        assert (await stage.gets(chat()))[0] == 429
        assert sorted(provider.keys) == ["a", "b"]
        provider.by_key = {"a": later, "b": ROOM}
        client = await stage.client()
        await client.sends(chat())
        both = [quota(stage, f"u/key.{name}") for name in "ab"]
        await until(lambda: all(each.waiting == 1 for each in both))
        assert (await client.reply()).status == 200
        assert key_of(provider.requests[-1]) == "b"
        assert [each.waiting for each in both] == [0, 0]


async def test_a_key_that_was_refused_meanwhile_is_not_used_when_its_turn_comes() -> None:
    sooner = error(429, LIMIT, b"retry-after-ms: 600")
    provider = Provider(a=sooner, b=error(429, LIMIT, b"retry-after-ms: 1500"))
    async with paced(provider, keys("a", "b")) as stage:
        assert (await stage.gets(chat()))[0] == 429
        provider.by_key = {"a": error(401, BAD_KEY), "b": ROOM}
        client = await stage.client()
        await client.sends(chat())
        await until(lambda: quota(stage, "u/key.a").waiting == 1)
        found = pool(stage).named("key.a")
        assert found is not None
        pool(stage).refuse(found, "by the test", time.monotonic())
        assert (await client.reply()).status == 200
        assert Counter(provider.keys) == {"a": 1, "b": 2}


async def test_who_leaves_waits_at_no_key_any_more() -> None:
    later = error(429, LIMIT, b"retry-after: 50")
    async with paced(Provider(a=later, b=later), keys("a", "b")) as stage:
        assert (await stage.gets(chat()))[0] == 429
        client = await stage.client()
        await client.sends(chat())
        both = [quota(stage, f"u/key.{name}") for name in "ab"]
        await until(lambda: all(each.waiting == 1 for each in both))
        client.closes()
        await until(lambda: not any(each.waiting for each in both))


async def test_another_key_waits_for_its_turn_too() -> None:
    provider = Provider(a=error(429, MONEY), b=FULL)
    async with paced(provider, keys("b", weight=1000) + keys("a"), max_wait="1ms") as stage:
        got = [(await stage.gets(chat()))[2] for _ in range(4)]
        # What goes before the quota is known is not paced out.
        assert [each.status for each in got] == [200, 200, 429, 429]
        assert {each.code for each in got[2:]} == {"quota_spent"}
        assert Counter(provider.keys)["a"] == 1
