"""The script that gives leases, in a real Redis."""

from __future__ import annotations

import json
import time
from random import Random
from typing import Any

import pytest

from sidecar.observe.store_stats import ExchangeStats
from sidecar.policy.leases import LEASE, Part
from sidecar.policy.meter import Bounds
from sidecar.policy.shared_meter import Message
from sidecar.policy.shared_pace import Report
from sidecar.policy.token_limits import Refused, TokenLimits, TokenSettings, Wanted
from sidecar.store import exchange, shared_book, shared_paces
from sidecar.store.base import Run, script
from sidecar.store.exchange import Exchange
from sidecar.store.redis_store import RedisSettings, RedisStore
from sidecar.store.shared_limits import LEASES, SharedLimits
from tests.policy.lease_model import Leases
from tests.store.redis_server import RedisServer

AT = script(LEASES.replace("redis.call('TIME')", "{ARGV[5], '0'}"))
"""The script, at a time of the test's choice."""


def part(choice: Random, second: int) -> Part:
    spent = [n for ago in range(choice.randint(0, 3)) for n in (ago, choice.randint(1, 40))]
    mends = [
        n
        for _ in range(choice.randint(0, 2))
        for n in (second - choice.randint(0, 70), choice.randint(-5, 20))
    ]
    keep, need = choice.randint(0, 20), choice.choice((0, 0, choice.randint(1, 60)))
    want = max(keep, need) + choice.randint(0, 30)
    return Part(choice.choice((100, 100, 80)), spent, mends, keep, need, want)


def answer(reply: bytes) -> tuple[Any, ...]:
    second, known, count, told = json.loads(reply)
    return second, bool(known), count, {each[0]: tuple(each[1:]) for each in told}


@pytest.mark.parametrize("seed", range(4))
async def test_it_does_what_the_model_does(redis: RedisServer, seed: int) -> None:
    store, model, choice = RedisStore(RedisSettings(redis.url)), Leases(), Random(seed)
    second, numbers = 1_000_000, [0] * 4
    for _ in range(150):
        second += choice.choice((0, 0, 1, 1, 2, 70 if choice.random() < 0.1 else 3))
        who = choice.randrange(4)
        again = numbers[who] and choice.random() < 0.1
        numbers[who] += not again
        kinds = choice.sample(range(4), choice.randint(1, 4))
        message = Message(numbers[who], {kind: part(choice, second) for kind in kinds}, 0.0)
        parts = [
            [kind, each.limit, each.spent, each.mends, each.keep, each.need, each.want]
            for kind, each in message.parts.items()
        ]
        arguments = (f"m{who}", numbers[who], LEASE, json.dumps(parts), second)
        (reply,) = await store.run([Run(AT, "key", arguments)])
        expected = model.take(f"m{who}", message, second)
        assert answer(reply) == (*expected[:3], {k: tuple(v) for k, v in expected[3].items()})
    assert 0 < redis.ask("TTL", "key") <= LEASE + 62
    await store.close()


RIGHTS = [
    *("+eval", "+evalsha", "+time", "+get", "+set", "+hget", "+hgetall", "+hset", "+hdel"),
    "+hincrbyfloat",
    *("+pttl", "+pexpire", "+zadd", "+zrem", "+zremrangebyscore", "+zrevrangebyscore", "+zcard"),
]
"""As docs/caching.md has them."""


async def test_the_rights_that_are_documented_are_enough(redis: RedisServer) -> None:
    redis.ask("ACL", "SETUSER", "sidecar", "on", ">secret", "~p/1/*", *RIGHTS)
    parts = json.dumps([[1, 100, [], [], 0, 5, 10]])
    report = json.dumps(Report(1, 1.0, 1.0, 1, 1.0, 0.0)._asdict())
    runs = [
        Run(exchange._GREET, "p/1/members", ("m", 10, "x")),
        Run(shared_book._TELL, "p/1/spent", ("m", "1.5", 1000)),
        Run(script(LEASES), "p/1/limit", ("m", 1, LEASE, parts)),
        Run(script(shared_paces.PACES), "p/1/pace", ("m", 1, report, shared_paces.NUMBERS)),
        Run(exchange._LEAVE, "p/1/members", ("m", 10, "x")),
    ]
    store = RedisStore(RedisSettings(redis.url, username="sidecar", password="secret"))
    for _ in range(2):  # by text, and by name
        greeted, told, _, _, left = await store.run(runs)
    assert greeted[2:] == [1, b"life x"]
    assert told == [b"1.5", b"1.5"]
    assert left[2] == 0
    await store.close()


async def test_it_goes_by_the_clock_of_the_store(redis: RedisServer) -> None:
    store = RedisStore(RedisSettings(redis.url))
    parts = json.dumps([[1, 100, [], [], 0, 5, 10**12], [3, 10**12, [0, 10**11], [], 0, 0, 10**12]])
    reply = (await store.run([Run(script(LEASES), "key", ("m", 1, LEASE, parts))]))[0]
    second, known, count, told = answer(reply)
    assert abs(second - int(redis.ask("TIME")[0])) <= 2
    assert (known, count) == (False, 1)
    assert told == {1: (100, 0, 0), 3: (9 * 10**11, 0, 0)}
    await store.close()


@pytest.mark.parametrize("leaves", [False, True])
async def test_clients_that_are_forgotten_are_not_told_of(leaves: bool) -> None:
    """However many there are while the store does not answer."""
    store = RedisStore(RedisSettings("redis://127.0.0.1:1"))
    shared = SharedLimits(Exchange(store, "p", b"", ExchangeStats()), "r", "u")
    settings = TokenSettings(client=Bounds(total=100), max_clients=10)
    limits = TokenLimits(settings, shared.meter)
    for number in range(1000):
        wanted = Wanted(1, 0, guessed=False, client=f"c{number}")
        ticket = limits.enter(time.monotonic(), wanted)
        assert not isinstance(ticket, Refused)
        limits.settle(ticket, time.monotonic(), ticket.amounts)
        if not number % 100:
            assert len(shared.questions()) <= 10
    assert len(shared.questions()) == 10
    if leaves:
        shared.retire()
    del limits, ticket
    assert len(shared.questions()) == (10 if leaves else 0)  # what is used is told at the end
