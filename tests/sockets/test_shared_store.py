"""Many sidecars keep replies for each other in a real Redis, and none of their calls needs it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.store import guard, redis_store
from tests.sockets.asking import BODY, STREAM, TEXT, WHOLE, Asking, asks, taken
from tests.sockets.peers import Peer, Server, until
from tests.sockets.stage import Stage
from tests.store.redis_server import RedisServer


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer.started(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer is never late on a busy machine."""
    monkeypatch.setattr(guard, "WAIT", 10.0)
    # Else one that takes a second opens the circuit, and each sidecar asks the server itself.
    monkeypatch.setattr(redis_store, "_TIMEOUT", 30.0)


def sidecar(redis: RedisServer, server: Server, **said: Any) -> Stage:
    """A sidecar in front of *server* that shares its replies."""
    stage = Stage(
        servers=[server],
        policy={"cache": said.pop("cache", {}), "single_flight": {}},
        pool={"max_idle": 0},
    )
    stage.config["store"] = {"redis": {"url": redis.url, **said}}
    return stage


@contextlib.asynccontextmanager
async def sidecars(redis: RedisServer, count: int, **said: Any) -> AsyncIterator[list[Stage]]:
    """Several in front of the same server."""
    server = Server()
    async with contextlib.AsyncExitStack() as stack:
        stages = [sidecar(redis, server, **dict(said)) for _ in range(count)]
        yield [await stack.enter_async_context(stage) for stage in stages]


def attempts(stages: list[Stage]) -> int:
    return sum(sum(stage.endpoint.attempts.values()) for stage in stages)


def results(stage: Stage) -> dict[str, int]:
    assert stage.stats.store is not None
    return dict(stage.stats.store.results)


async def carries(stage: Stage, answer: bytes = WHOLE) -> None:
    """The server answers the next call."""
    server = await stage.accepts()
    await taken(server)
    await server.sends(answer)


@pytest.mark.usefixtures("patient")
async def test_what_one_keeps_another_gives(redis: RedisServer) -> None:
    async with sidecars(redis, 2, secret="s") as (one, other):
        for ask, answer in ((asks(), WHOLE), (asks({"stream": True}), STREAM)):
            first = await Asking(one).miss(ask, answer)
            assert first["x-sidecar-cache"] == "miss"
            await one.is_at_rest()  # the reply is in the store
            again = await Asking(other).hit(ask)
            assert (again["x-sidecar-cache"], again.body) == ("hit", first.body)
        assert other.route.saved.calls == {"hit": 2}
        assert other.route.saved.tokens == {"input": 6, "output": 10}
        # From now on it is in its own memory.
        before = results(other)
        await Asking(other).hit(asks())
        assert results(other) == before
        assert not redis.ask("KEYS", "*lock*")


@pytest.mark.usefixtures("patient")
async def test_a_thousand_at_once_over_eight_sidecars_are_one(redis: RedisServer) -> None:
    async with sidecars(redis, 8) as stages:
        clients: list[Peer] = []
        for stage in stages:
            for _ in range(125):
                clients.append(await stage.client())
                await clients[-1].sends(asks())
        server = await stages[0].accepts()
        await taken(server)
        await until(lambda: sum(stage.route.in_flight for stage in stages) == 1000)
        await server.sends(WHOLE)
        replies = [await client.reply("POST") for client in clients]
        assert {reply.body for reply in replies} == {BODY}
        assert attempts(stages) == 1
        assert sum(stage.route.cache["miss"] for stage in stages) == 125
        assert sum(stage.route.cache["hit"] for stage in stages) == 875
    # A connection that was being made when its sidecar ended may outlive it. The loop, which closes
    # after this, would wait for it as long as the server lives.
    redis.stop()


@pytest.mark.usefixtures("patient")
async def test_where_the_one_that_asks_fails_another_asks(redis: RedisServer) -> None:
    async with sidecars(redis, 2) as (one, other):
        first, second = await one.client(), await other.client()
        await first.sends(asks())
        server = await one.accepts()
        await taken(server)
        await second.sends(asks())
        await until(lambda: results(other).get("miss", 0) > 1)  # it waits
        server.closes()
        assert (await first.reply("POST")).status == 502
        await carries(other)
        assert (await second.reply("POST")).body == BODY


@pytest.mark.usefixtures("patient")
async def test_a_value_that_is_not_ours_is_a_miss(redis: RedisServer) -> None:
    async with sidecars(redis, 1, secret="s") as (one,):
        await Asking(one).miss(asks())
        await one.is_at_rest()
    (key,) = redis.ask("KEYS", "*")
    ours = redis.ask("GET", key)
    for value, secret in ((b"", "s"), (b"foreign", "s"), (ours[:-1], "s"), (ours, "another")):
        redis.ask("SET", key, value)
        async with sidecars(redis, 1, secret=secret) as (other,):
            assert (await Asking(other).miss(asks()))["x-sidecar-cache"] == "miss"
            await other.is_at_rest()
            assert results(other)["foreign"] >= 1
    redis.ask("SET", key, ours)
    async with sidecars(redis, 1, secret="s") as (other,):
        assert (await Asking(other).hit(asks())).body == BODY


@pytest.mark.usefixtures("patient")
async def test_a_purge_is_for_the_store_too(redis: RedisServer) -> None:
    async with sidecars(redis, 1) as (one,):
        asking = Asking(one)
        await asking.miss(asks())
        await asking.miss(asks({"model": "n"}))
        await one.is_at_rest()
        assert len(redis.ask("KEYS", "*")) == 2
        assert one.stats.cache is not None
        assert one.stats.cache.purge("r", "n") == 1
        await until(lambda: len(redis.ask("KEYS", "*")) == 1)
        assert one.stats.cache.purge(None, None) == 1
        await until(lambda: not redis.ask("KEYS", "*"))


async def works(stage: Stage, number: int) -> None:
    """Calls go on, whether they are kept or not."""
    client = await stage.client()
    ask = asks({"stream": True, "messages": [number]})
    for _ in range(2):
        before = sum(stage.endpoint.attempts.values()), stage.route.saved.calls["hit"]
        await client.sends(ask)
        serving = stage.begins(carries(stage, STREAM))
        reply = await client.reply("POST")
        assert (reply.status, reply.body) == (200, b"".join(TEXT))
        if sum(stage.endpoint.attempts.values()) == before[0]:
            assert stage.route.saved.calls["hit"] == before[1] + 1
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    client.closes()


async def test_no_call_fails_whatever_becomes_of_the_store(redis: RedisServer) -> None:
    """Stopped, started, slow, frozen: the calls are as they would be without it."""
    number = 0
    async with sidecars(redis, 2) as stages:
        for change in (
            lambda: None,
            redis.stop,
            redis.start,
            lambda: redis.ask("DEBUG", "SLEEP", "0.01"),
            redis.freeze,
            redis.thaw,
            redis.stop,
        ):
            change()
            for stage in stages:
                for _ in range(5):
                    number += 1
                    await works(stage, number)
        for stage in stages:
            assert not stage.route.errors
            assert stage.route.statuses == {200: 70}
            found = results(stage)
            assert found.get("late", 0) + found.get("error", 0) + found.get("refused", 0) > 0


async def test_a_store_that_is_not_there_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = RedisServer(tmp_path)
    async with sidecars(nowhere, 1) as (stage,):
        for number in range(15):
            await works(stage, number)
        assert stage.stats.store is not None
        assert stage.stats.store.state == "open"
        assert "calls go on without it" in caplog.text


async def test_a_reload_without_the_store_closes_it(redis: RedisServer) -> None:
    async with sidecars(redis, 1) as (stage,):
        await Asking(stage).miss(asks())
        await stage.is_at_rest()
        del stage.config["store"]["redis"]
        await stage.apply()
        assert stage.stats.store is None
        ours = 1  # the connection that asks
        await until(lambda: len(redis.ask("CLIENT", "LIST").splitlines()) == ours)
        await Asking(stage).hit(asks())
