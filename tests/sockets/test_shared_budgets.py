"""Several sidecars spend budgets together through a real Redis; none of their calls needs it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.store import exchange, shared_book
from sidecar.store.ledger import read, read_shared
from tests.sockets.peers import until
from tests.sockets.scripted import Fleet, Scripted
from tests.sockets.test_budgets import DAY, answer, budget, fleet, statuses
from tests.store.redis_server import RedisServer

SHARED = DAY | {"redis": True}


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
    monkeypatch.setattr(shared_book, "_NOTED", 0.0)


def member(redis: RedisServer, folder: Path, **limit: Any) -> Fleet:
    """A sidecar with a ledger of its own."""
    folder.mkdir(exist_ok=True)
    server = Scripted("a", always=answer())
    stage = fleet(folder, {"b": SHARED | limit}, server, policy={"retry": {"max": 0}})
    stage.config["store"] = {"redis": {"url": redis.url, "secret": "s"}}
    return stage


@contextlib.asynccontextmanager
async def members(
    redis: RedisServer, tmp_path: Path, count: int = 2, **limit: Any
) -> AsyncIterator[list[Fleet]]:
    async with contextlib.AsyncExitStack() as stack:
        stages = [member(redis, tmp_path / str(number), **limit) for number in range(count)]
        for stage in stages:  # what is left over of one is not what another goes on with
            stage.tasks = stages[0].tasks
        for stage in stages:
            await stack.enter_async_context(stage)
        await until(lambda: all(peers(stage) == count for stage in stages))
        yield stages


def alone(stage: Fleet) -> bool:
    assert stage.stats.exchange is not None
    return stage.stats.exchange.alone


def peers(stage: Fleet) -> int:
    assert stage.stats.exchange is not None
    return stage.stats.exchange.peers


def total(stage: Fleet, client: str = "") -> float:
    return budget(stage).totals().get(client, 0.0)


async def know(stages: list[Fleet], spent: float, client: str = "") -> None:
    """All know what all have spent."""
    await until(lambda: all(total(each, client) == spent for each in stages), f"{spent}")


async def test_what_one_spends_another_has_not(redis: RedisServer, tmp_path: Path) -> None:
    async with members(redis, tmp_path) as (one, other):
        assert await statuses(one, 1) == [200]
        assert await statuses(other, 1) == [200]
        await know([one, other], 20.0)
        assert await statuses(other, 1) == [200]
        await know([one, other], 30.0)
        assert await statuses(one, 1) + await statuses(other, 1) == [429, 429]
        shown = budget(one).shown()
        assert shown["spent"] == {"": 30.0}
        assert shown["shared"] == {"available": True, "peers": 2, "here": {"": 10.0}}
    for number, own, others in ((0, 10.0, 20.0), (1, 20.0, 10.0)):
        path = str(tmp_path / str(number) / "ledger.db")
        assert list(read(path).values()) == [own]
        assert list(read_shared(path)[1].values()) == [others]
    (key,) = [key for key in redis.ask("KEYS", "*/spent/*") if b"team" not in key]
    assert 2 * 86_400 < redis.ask("TTL", key) <= 3 * 86_400


async def test_the_first_call_of_a_client_sees_what_it_spent_elsewhere(
    redis: RedisServer, tmp_path: Path
) -> None:
    async with members(redis, tmp_path, header="x-team") as (one, other):
        assert await statuses(one, 3, b"x-team: red") == [200] * 3
        await until(lambda: redis.ask("KEYS", "*/spent/*"))
        key = redis.ask("KEYS", "*/spent/*")[0]
        await until(lambda: redis.ask("HGET", key, "all") == b"30")
        assert await statuses(other, 1, b"x-team: red") == [429]
        assert await statuses(other, 1, b"x-team: blue") == [200]


async def test_a_ledger_counts_once_however_often_its_sidecar_starts(
    redis: RedisServer, tmp_path: Path
) -> None:
    async with member(redis, tmp_path / "x", tokens=1000) as other:
        for number in range(3):
            again = member(redis, tmp_path / "y", tokens=1000)
            again.tasks = other.tasks
            async with again as one:
                assert await statuses(one, 2) == [200] * 2
                await know([one, other], 20.0 * (number + 1))
        await statuses(other, 1)
        await know([other], 70.0)


async def test_a_redis_that_comes_back_empty_is_told_everything(
    redis: RedisServer, tmp_path: Path
) -> None:
    async with members(redis, tmp_path, 3, tokens=1000) as stages:
        for stage in stages:
            assert await statuses(stage, 4) == [200] * 4
        await know(stages, 120.0)
        redis.stop()
        await until(lambda: all(alone(stage) for stage in stages))
        for stage in stages:
            assert await statuses(stage, 2) == [200] * 2
            assert total(stage) == 140.0  # what it knows
            assert budget(stage).shown()["shared"] == {
                "available": False, "peers": 3, "here": {"": 60.0},
            }  # fmt: skip
        redis.start()
        await know(stages, 180.0)
        assert not any(alone(stage) for stage in stages)


async def test_a_redis_that_hangs_fails_no_call(
    redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "WAIT", 0.002)
    async with members(redis, tmp_path, tokens=1000) as stages:
        await know(stages, 0.0)
        redis.freeze()
        for stage in stages:
            assert await statuses(stage, 5) == [200] * 5
        await until(lambda: all(alone(stage) for stage in stages))
        for stage in stages:
            assert await statuses(stage, 5) == [200] * 5
        redis.thaw()  # what was sent before it hung may be done now
        await know(stages, 200.0)


async def test_without_redis_each_spends_a_part_of_what_was_left(
    redis: RedisServer, tmp_path: Path
) -> None:
    async with members(redis, tmp_path, tokens=100) as (one, other):
        assert await statuses(one, 1) + await statuses(other, 1) == [200] * 2
        await know([one, other], 20.0)
        redis.stop()
        await until(lambda: alone(one) and alone(other))
        for stage in (one, other):  # 40 each
            assert await statuses(stage, 6) == [200] * 4 + [429] * 2
        redis.start()
        await know([one, other], 100.0)


async def test_sharing_begins_and_ends_with_a_reload(redis: RedisServer, tmp_path: Path) -> None:
    async with members(redis, tmp_path, tokens=1000) as (one, other):
        limit = one.config["budgets"]["limits"]["b"]
        one.config["budgets"]["limits"]["b"] = limit | {"redis": False}
        await one.apply()
        assert await statuses(one, 2) == [200] * 2
        assert await statuses(other, 1) == [200]
        assert budget(one).shown()["shared"] is None
        assert total(one) == 20.0
        one.config["budgets"]["limits"]["b"] = limit
        await one.apply()
        await know([one, other], 30.0)  # what was spent by itself counts too
