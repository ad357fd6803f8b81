"""Several sidecars have limits together through a real Redis, and none of their calls needs it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.store import exchange
from tests.sockets.peers import until
from tests.sockets.scripted import Fleet, Scripted, chat
from tests.sockets.test_token_limits import limited, numbers, said, used
from tests.store.redis_server import RedisServer


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer.started(tmp_path)
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds follow soon, and an answer is never late on a busy machine."""
    monkeypatch.setattr(exchange, "EVERY", 0.02)
    monkeypatch.setattr(exchange, "WAIT", 10.0)
    monkeypatch.setattr(exchange, "_RETRY_MOST", 0.1)


@contextlib.asynccontextmanager
async def members(
    redis: RedisServer, count: int = 2, act: Any = None, **tokens: Any
) -> AsyncIterator[list[Fleet]]:
    """Sidecars that share limits, each in front of a server of its own."""
    async with contextlib.AsyncExitStack() as stack:
        stages: list[Fleet] = []
        for number in range(count):
            server = Scripted(str(number), always=act or said(10, 20))
            stage = Fleet(server, policy=limited(redis=True, **tokens))
            stage.config["store"] = {"redis": {"url": redis.url, "secret": "s"}}
            stage.tasks = stages[0].tasks if stages else stage.tasks
            stages.append(await stack.enter_async_context(stage))
        await until(lambda: all(peers(stage) == count for stage in stages))
        yield stages


def peers(stage: Fleet) -> int:
    assert stage.stats.exchange is not None
    return stage.stats.exchange.peers


def alone(stage: Fleet) -> bool:
    assert stage.stats.exchange is not None
    return stage.stats.exchange.alone


async def statuses(stage: Fleet, calls: int, *lines: bytes, **asks: Any) -> list[int]:
    client = await stage.client()
    asks.setdefault("max_tokens", 20)
    return [(await stage.gets(chat("m", *lines, **asks), client))[0] for _ in range(calls)]


def requests(stages: list[Fleet]) -> int:
    return sum(used(stage)[0] for stage in stages)


async def test_all_together_have_one_limit(redis: RedisServer) -> None:
    async with members(redis, 3, requests=10) as stages:
        got: list[int] = []
        for _ in range(5):
            for stage in stages:
                got += await statuses(stage, 1)
        assert got.count(200) == requests(stages) == 10
        assert numbers(stages[0]).shared
        status, body, reply = await stages[0].gets(chat(max_tokens=1))
        assert (status, reply.code) == (429, "tokens_limited")
        assert 1 <= int(reply["retry-after"]) <= 61
        assert b"this route has a limit of 10 requests a minute" in body


async def test_calls_at_once_at_many_sidecars_pass_no_limit(redis: RedisServer) -> None:
    async with members(
        redis, 4, output=400, client={"by": "header", "header": "x-c", "output": 200}
    ) as stages:

        async def burst(stage: Fleet, name: bytes) -> list[int]:
            return await statuses(stage, 6, b"x-c: " + name)

        calls = [burst(stage, name) for stage in stages for name in (b"a", b"b", b"c")]
        got = [status for each in await asyncio.gather(*calls) for status in each]
        assert 16 <= got.count(200) <= 20
        # The rest may be in leases of others, which give them back.
        left = 20 - got.count(200)
        end = asyncio.get_running_loop().time() + 5
        while left:
            left -= (await statuses(stages[0], 1, b"x-c: d")).count(200)
            assert asyncio.get_running_loop().time() < end
        assert await statuses(stages[0], 1, b"x-c: d") == [429]
        assert sum(used(stage)[2] for stage in stages) == 400


async def test_what_a_call_did_not_use_others_have(redis: RedisServer) -> None:
    async with members(redis, 2, act=said(10, 5), output=100) as (one, other):
        assert await statuses(one, 1, max_tokens=95) == [200]
        end = asyncio.get_running_loop().time() + 5
        while (got := await statuses(other, 1, max_tokens=90)) != [200]:
            assert asyncio.get_running_loop().time() < end, got
        assert await statuses(one, 1, max_tokens=91) == [429]


async def test_a_call_waits_for_what_another_sidecar_gives_back(redis: RedisServer) -> None:
    waits = {"output": 100, "when_exceeded": "wait", "max_wait": "90s"}
    async with members(redis, 2, act="wait", **waits) as (one, other):
        clients = [await stage.client() for stage in (one, other)]
        await clients[0].sends(chat(max_tokens=80))
        await until(lambda: one.fleet[0].calls == 1)
        await clients[1].sends(chat(max_tokens=80))
        await until(lambda: numbers(other).waiting == 1)
        one.fleet[0].answer = other.fleet[0].answer = said(10, 5)
        one.fleet[0].gate.set()  # it used 5
        await until(lambda: other.fleet[0].calls == 1)
        other.fleet[0].gate.set()
        for client in clients:
            assert (await client.reply()).status == 200


async def test_no_call_fails_while_redis_hangs_and_what_was_used_is_settled_after(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "WAIT", 0.002)
    async with members(redis, 2, requests=40) as (one, other):
        assert await statuses(one, 4) + await statuses(other, 4) == [200] * 8
        redis.freeze()
        assert await statuses(one, 6) + await statuses(other, 6) == [200] * 12
        await until(lambda: alone(one) and alone(other))
        assert await statuses(one, 2) + await statuses(other, 2) == [200] * 4
        redis.thaw()
        await until(lambda: not alone(one) and not alone(other))
        monkeypatch.setattr(exchange, "WAIT", 10.0)
        await shared(redis, 24)
        got = await statuses(one, 12) + await statuses(other, 12)
        assert got.count(200) == 16


async def test_a_redis_that_comes_back_empty_is_told_the_last_minute(redis: RedisServer) -> None:
    async with members(redis, 2, requests=40) as (one, other):
        assert await statuses(one, 10) + await statuses(other, 10) == [200] * 20
        redis.stop()
        await until(lambda: alone(one) and alone(other))
        assert await statuses(one, 3) + await statuses(other, 3) == [200] * 6
        redis.start()
        await until(lambda: not alone(one) and not alone(other))
        await shared(redis, 26)
        got = await statuses(one, 12) + await statuses(other, 12)
        assert got.count(200) == 14


async def test_without_redis_each_has_its_share(redis: RedisServer) -> None:
    async with members(redis, 4, requests=40) as stages:
        redis.stop()
        await until(lambda: all(alone(stage) for stage in stages))
        for stage in stages:
            assert (await statuses(stage, 15)).count(200) == 10


async def test_a_reload_keeps_what_was_used_and_what_is_shared(redis: RedisServer) -> None:
    async with members(redis, 2, requests=10) as (one, other):
        assert await statuses(one, 4) == [200] * 4
        one.config["policies"]["default"]["limits"]["tokens"]["requests"] = 6
        await one.apply()
        assert await statuses(one, 4) == [200] * 2 + [429] * 2
        assert (await statuses(other, 6)).count(200) == 4
        del one.config["policies"]["default"]["limits"]["tokens"]["redis"]
        await one.apply()
        assert one.stats.token_limits
        assert await statuses(one, 7) == [200] * 6 + [429]  # it has its own again


def window(redis: RedisServer) -> int:
    """What is known in Redis of the requests of the last minute, without leases."""
    script = (
        "local raw = redis.call('HGET', KEYS[1], 'w') if not raw then return '[]' end "
        "local n, out = tonumber(redis.call('TIME')[1]), {} "
        "for s, a in pairs(cmsgpack.unpack(raw)[0] or {}) do out[#out + 1] = {s - n, a} end "
        "return cjson.encode(out)"
    )
    keys = redis.ask("KEYS", "*/limit/*")
    if not keys:
        return 0
    seconds = json.loads(redis.ask("EVAL", script, 1, keys[0])) or []
    return sum(amount for second, amount in seconds if second <= 0)


async def shared(redis: RedisServer, amount: int) -> None:
    """Redis knows that so much was used."""
    await until(lambda: window(redis) == amount, f"{amount}")
