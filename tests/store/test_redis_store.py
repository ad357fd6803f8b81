"""What the store does in a real Redis."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.store.base import Run, StoreError, script
from sidecar.store.redis_store import RedisSettings, RedisStore
from tests.store.redis_server import RedisServer


async def test_values_and_locks(redis: RedisServer) -> None:
    store = RedisStore(RedisSettings(redis.url))
    await store.ping()
    assert await store.get("a") is None
    await store.put("a", b"\0value", 60.0)
    assert await store.get("a") == b"\0value"
    assert 0 < redis.ask("PTTL", "a") <= 60_000
    assert await store.lock("l", b"one", 60.0)
    assert not await store.lock("l", b"two", 60.0)
    await store.unlock("l", b"two")  # another's lock stays
    assert not await store.lock("l", b"two", 60.0)
    await store.unlock("l", b"one")
    assert await store.lock("l", b"two", 60.0)
    await store.close()


async def test_a_lock_gives_itself_back(redis: RedisServer) -> None:
    store = RedisStore(RedisSettings(redis.url))
    assert await store.lock("l", b"one", 0.001)
    await asyncio.sleep(0.01)
    assert await store.lock("l", b"two", 60.0)
    await store.close()


async def test_keys_are_purged_by_pattern(redis: RedisServer) -> None:
    store = RedisStore(RedisSettings(redis.url))
    fill = "for i=0,1199 do redis.call('set','p:'..(i%3==0 and 'b' or 'a')..':'..i,'x') end"
    redis.ask("EVAL", fill, 0)
    assert await store.purge("p:b:*") == 400
    assert await store.purge("p:b:*") == 0
    assert await store.purge("p:*") == 800
    await store.close()


async def test_a_user_of_the_acl(redis: RedisServer) -> None:
    redis.ask("ACL", "SETUSER", "sidecar", "on", ">secret", "~p:*", "+get", "+set", "+ping")
    store = RedisStore(RedisSettings(redis.url, username="sidecar", password="secret"))
    await store.put("p:1", b"x", 60.0)
    with pytest.raises(StoreError, match=r"ermission|NOPERM"):
        await store.put("q:1", b"x", 60.0)
    await store.close()
    wrong = RedisStore(RedisSettings(redis.url, username="sidecar", password="other"))
    with pytest.raises(StoreError):
        await wrong.get("p:1")
    await wrong.close()


async def test_the_rights_that_are_documented_are_enough(redis: RedisServer) -> None:
    rights = ("+get", "+set", "+eval", "+del", "+unlink", "+scan", "+ping")  # docs/caching.md
    redis.ask("ACL", "SETUSER", "sidecar", "on", ">secret", "~p:*", *rights)
    store = RedisStore(RedisSettings(redis.url, username="sidecar", password="secret"))
    await store.ping()
    await store.put("p:1", b"x", 60.0)
    assert await store.get("p:1") == b"x"
    assert await store.lock("p:l", b"one", 60.0)
    await store.unlock("p:l", b"one")
    assert await store.purge("p:*") == 1
    await store.close()


COUNT = script("return redis.call('incrby', KEYS[1], ARGV[1])")
WRONG = script("return redis.call('incrby', KEYS[1], 'x')")


async def test_scripts_run_also_in_a_redis_that_does_not_know_them(redis: RedisServer) -> None:
    store = RedisStore(RedisSettings(redis.url))
    runs = [Run(COUNT, "a", (2,)), Run(COUNT, "b", (3,)), Run(COUNT, "a", (4,))]
    assert await store.run(runs) == [2, 3, 6]
    assert await store.run(runs) == [8, 6, 12]
    redis.ask("SCRIPT", "FLUSH")
    assert await store.run(runs) == [14, 9, 18]
    with pytest.raises(StoreError, match="not an integer"):
        await store.run([*runs, Run(WRONG, "a", ())])
    await store.close()


async def test_what_is_not_there_is_an_error_of_the_store() -> None:
    store = RedisStore(RedisSettings("unix:///nowhere/redis.sock"))
    for ask in (
        store.get("a"),
        store.put("a", b"", 1.0),
        store.purge("*"),
        store.ping(),
        store.run([Run(COUNT, "a", (1,))]),
    ):
        with pytest.raises(StoreError):
            await ask
    await store.close()
