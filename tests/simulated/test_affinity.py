"""Conversations that have a home, where their prompts are cached."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict

import pytest

from tests.simulated.clock import run
from tests.simulated.fleet import Fleet
from tests.simulated.servers import Server, uniform


async def conversations(method: str, in_flight: int, keys: int, seed: int) -> tuple[float, float]:
    """Of the calls, how many went where their key mostly goes, and how many to the busiest."""
    servers = [Server(number, seed, latency=uniform(0.08, 0.3)) for number in range(4)]
    fleet = Fleet(*servers, upstream={"balance": method}, seed=seed)
    end = time.monotonic() + 30
    calls = 0

    async def talk() -> None:
        nonlocal calls
        while time.monotonic() < end:
            key = fleet.draws.randrange(keys) + 100 * seed
            content = b'{"messages":[{"role":"user","content":"%b"}]}' % (b"%05d" % key * 300)
            await fleet.call(body=content, peer=f"10.0.{key >> 8}.{key & 255}")
            calls += 1

    await asyncio.gather(*(talk() for _ in range(in_flight)))
    went: defaultdict[bytes, Counter[str]] = defaultdict(Counter)
    for server in servers:
        for body in server.bodies:
            went[body][server.name] += 1
    home = sum(max(counts.values()) for counts in went.values()) / calls
    return home, max(len(server.arrivals) for server in servers) / calls


@pytest.mark.parametrize("method", ["ip_hash", "prefix"])
@pytest.mark.parametrize("in_flight", [2, 4, 8, 24])
def test_twenty_conversations_stay_at_home(method: str, in_flight: int) -> None:
    homes = [run(conversations(method, in_flight, 20, seed), seed)[0] for seed in range(1, 6)]
    assert min(homes) >= 0.98


@pytest.mark.parametrize(("in_flight", "most"), [(8, 0.55), (24, 0.45), (64, 0.4)])
def test_one_conversation_does_not_fill_its_endpoint(in_flight: int, most: float) -> None:
    assert run(conversations("ip_hash", in_flight, 1, 1))[1] <= most
