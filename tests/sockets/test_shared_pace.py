"""Sidecars of one quota tell each other through a real Redis what their provider refuses."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.store import exchange
from tests.sockets.peers import until
from tests.sockets.scripted import Fleet, Scripted, chat, status
from tests.sockets.test_pacing import NO_RETRY, pace, quota
from tests.sockets.test_shared_limits import alone, peers
from tests.store.redis_server import RedisServer

OK = status(200)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer.started(tmp_path)
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds follow soon."""
    monkeypatch.setattr(exchange, "EVERY", 0.02)
    monkeypatch.setattr(exchange, "_RETRY_MOST", 0.1)


@contextlib.asynccontextmanager
async def members(
    redis: RedisServer, *servers: Scripted, **said: Any
) -> AsyncIterator[list[Fleet]]:
    """Sidecars that share a quota, each in front of a server of its own."""
    async with contextlib.AsyncExitStack() as stack:
        stages: list[Fleet] = []
        for server in servers:
            upstream = pace(quota="team", redis=True, **said)
            stage = Fleet(server, upstream=upstream, policy=NO_RETRY)
            stage.config["store"] = {"redis": {"url": redis.url}}
            stage.tasks = stages[0].tasks if stages else stage.tasks
            stages.append(await stack.enter_async_context(stage))
        await until(lambda: all(peers(stage) == len(servers) for stage in stages))
        yield stages


def rate(stage: Fleet) -> float | None:
    (line,) = quota(stage, "team").lines.limiters()
    return line.policy.rates().get("requests")


def stopped(stage: Fleet) -> float:
    (line,) = quota(stage, "team").lines.limiters()
    return line.policy.wait(asyncio.get_running_loop().time())


async def test_what_one_is_refused_stops_all_and_all_have_one_pace(redis: RedisServer) -> None:
    refuses = status(429, b"retry-after: 30")
    servers = Scripted("a", OK, refuses), Scripted("b", always=OK)
    async with members(redis, *servers, max_wait="1s") as (one, other):
        for stage in (one, other):
            assert (await stage.gets(chat()))[0] == 200
        assert rate(other) is None
        assert (await one.gets(chat()))[0] == 429
        await until(lambda: stopped(other) > 20.0)
        await until(lambda: rate(one) is not None and rate(other) is not None)
        assert (await other.gets(chat()))[2].code == "quota_spent"
        assert servers[1].calls == 1


async def test_without_redis_each_has_a_pace_of_its_own(redis: RedisServer) -> None:
    servers = Scripted("a", OK, status(429), always=OK), Scripted("b", always=OK)
    async with members(redis, *servers) as (one, other):
        for stage in (one, other):
            assert (await stage.gets(chat()))[0] == 200
        redis.stop()
        await until(lambda: alone(one) and alone(other))
        assert (await one.gets(chat()))[0] == 429
        assert (await other.gets(chat()))[0] == 200
        assert stopped(one) > 0
        assert stopped(other) == 0
        redis.start()
        await until(lambda: stopped(other) > 0 or rate(other) is not None)  # it is told late


async def test_sharing_ends_with_a_reload(redis: RedisServer) -> None:
    servers = Scripted("a", always=OK), Scripted("b", always=OK)
    async with members(redis, *servers) as (one, _):
        assert (await one.gets(chat()))[0] == 200
        assert quota(one, "team").shared is not None
        del one.config["upstreams"]["u"]["pace"]["redis"]
        await one.apply()
        assert quota(one, "team").shared is None
        assert (await one.gets(chat()))[0] == 200
