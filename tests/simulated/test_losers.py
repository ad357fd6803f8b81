"""Endpoints that hang or are slow, while hedges, retries and callers give up on them."""

from __future__ import annotations

import asyncio
import time
from statistics import fmean
from typing import Any

import pytest

from tests.simulated.clock import run
from tests.simulated.fleet import Fleet, Summary
from tests.simulated.servers import Server, lognormal

TUNED: dict[str, Any] = {
    "timeouts": {"connect": "500ms", "first_byte": "1s", "idle": "3s", "total": "3s"},
    "retry": {"max": 3, "budget": {"ratio": "20%", "min_per_second": 5}},
    "hedge": {"quantile": "90%", "budget": {"ratio": "15%", "min_per_second": 1}},
    "breaker": {"slow_after": "1s", "slow_rate": "50%", "min_calls": 5, "window": "10s"},
}
"""As in bench/resilience."""
UNHEDGED = {**TUNED, "hedge": None}
USUAL = lognormal(0.16, 0.35)


async def gray(policy: dict[str, Any], balance: str, seed: int) -> tuple[Summary, float]:
    """One of four hangs two of three calls; callers wait 3 s. Its share of the second half."""
    servers = [Server(number, seed, latency=USUAL) for number in range(4)]
    servers[0].hang = 2 / 3
    fleet = Fleet(*servers, policy=policy, upstream={"balance": balance}, seed=seed)
    half = time.monotonic() + 12
    outcomes = await fleet.open_load(60, 24, lambda _: fleet.call(patience=3.0))
    return Summary(outcomes), fleet.share(servers[0], half)


def test_hedges_do_not_hide_an_endpoint_that_hangs() -> None:
    hedged = [run(gray(TUNED, "dynamic", seed), seed) for seed in range(1, 7)]
    unhedged = [run(gray(UNHEDGED, "dynamic", seed), seed) for seed in range(1, 7)]
    assert all(summary.ok == 1.0 for summary, _ in hedged)
    assert all(summary.p99 < 0.5 for summary, _ in hedged)
    assert fmean(share for _, share in hedged) < 0.01  # by chance, all trials may go well
    assert fmean(s.mean for s, _ in hedged) < fmean(s.mean for s, _ in unhedged)


def test_the_first_calls_are_hedged_as_soon_as_it_is_known_what_is_late() -> None:
    """One of five is slow, and nobody knows which."""

    async def start(seed: int) -> int:
        servers = [Server(number, seed, latency=USUAL) for number in range(5)]
        servers[4].latency = lognormal(1.45, 0.2)
        fleet = Fleet(*servers, policy=TUNED, upstream={"balance": "dynamic"}, seed=seed)
        outcomes = await fleet.open_load(60, 2, lambda _: fleet.call(patience=3.0))
        return sum(each.seconds > 0.9 for each in outcomes)

    assert sum(run(start(seed), seed) for seed in range(1, 11)) <= 20


@pytest.mark.parametrize("policy", [{}, {"hedge": {}}])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_without_a_policy_it_loses_its_share_too(policy: dict[str, Any], seed: int) -> None:
    """Its callers, who leave, are the only ones to tell. By themselves 83 % of them succeed."""
    summary, share = run(gray(policy, "round_robin", seed), seed)
    assert summary.ok > 0.95
    assert share < 0.02


async def slow(policy: dict[str, Any], seed: int) -> tuple[Summary, float, float]:
    """One of four is ten times slower for 15 s. Its shares then, and 7 s after."""
    servers = [Server(number, seed, latency=USUAL) for number in range(4)]
    fleet = Fleet(*servers, policy=policy, upstream={"balance": "dynamic"}, seed=seed)
    begin = time.monotonic()

    async def happens() -> None:
        await asyncio.sleep(8)
        servers[0].latency = lognormal(1.6, 0.35)
        await asyncio.sleep(15)
        servers[0].latency = USUAL

    task = asyncio.create_task(happens())
    outcomes = await fleet.open_load(60, 40, lambda _: fleet.call(patience=3.0))
    await task
    during = [each for each in outcomes if begin + 8 <= each.began < begin + 23]

    def share(since: float, until: float) -> float:
        counts = [sum(since <= at - begin < until for at in s.arrivals) for s in servers]
        return counts[0] / sum(counts)

    return Summary(during), share(8, 23), share(30, 40)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_endpoint_that_turns_slow_loses_its_share_and_gets_it_back(seed: int) -> None:
    during, then, after = run(slow(TUNED, seed), seed)
    assert during.ok == 1.0
    assert during.mean < 0.2
    assert then < 0.03
    assert after > 0.15


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_slowness_that_moves(seed: int) -> None:
    """Every 6 s another of five is the slow one; all fail now and then."""

    async def drift(policy: dict[str, Any]) -> Summary:
        servers = [
            Server(number, seed, latency=USUAL, errors={500: 0.02}, hang=0.006)
            for number in range(5)
        ]
        fleet = Fleet(*servers, policy=policy, upstream={"balance": "dynamic"}, seed=seed)

        async def moves() -> None:
            for turn in range(5):
                servers[turn].latency = lognormal(1.4, 0.3)
                await asyncio.sleep(6)
                servers[turn].latency = USUAL

        task = asyncio.create_task(moves())
        outcomes = await fleet.open_load(60, 30, lambda _: fleet.call(patience=3.0))
        await task
        return Summary(outcomes)

    hedged, unhedged = run(drift(TUNED), seed), run(drift(UNHEDGED), seed)
    assert hedged.ok > 0.999
    assert hedged.mean < unhedged.mean
    assert hedged.mean < 0.24


def test_a_caller_in_a_hurry_is_no_sign_against_an_endpoint() -> None:
    async def hurry() -> tuple[int, int]:
        servers = [Server(number, latency=USUAL) for number in range(3)]
        fleet = Fleet(*servers)
        await fleet.open_load(50, 5, lambda _: fleet.call())
        await fleet.open_load(50, 20, lambda _: fleet.call(patience=0.1))
        windows = [endpoint.breakers["default"].window for endpoint in fleet.endpoints]
        return sum(window.failures for window in windows), sum(window.slow for window in windows)

    assert run(hurry()) == (0, 0)
