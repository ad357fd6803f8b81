"""Endpoints of speeds 1, 2 and 4 that say how busy they are, truly or not."""

from __future__ import annotations

import asyncio
import time

import pytest

from sidecar.policy.load import Report
from tests.simulated.clock import run
from tests.simulated.fleet import Fleet, Summary
from tests.simulated.servers import Server, exponential

FULL = Report(queued=100, running=8, kv_used=1.0, utilization=1.0)
ALONE = {"retry": {"max": 0}, "breaker": None}


async def reporting(says: str, rate: float, seed: int) -> tuple[Summary, float]:
    """How calls fare, and the share of the fastest."""
    servers = [
        Server(number, seed, latency=exponential(0.8 / 2**number), slots=8) for number in range(3)
    ]
    fleet = Fleet(*servers, policy=ALONE, upstream={"balance": "dynamic"}, seed=seed)

    async def report() -> None:
        while True:
            await asyncio.sleep(2)
            for server, endpoint in zip(servers, fleet.endpoints, strict=True):
                use = server.running / server.slots
                found = Report(server.queued, server.running, use, use)
                if says == "full" and server is servers[2]:
                    found = FULL
                endpoint.load.report(found, time.monotonic())

    task = asyncio.create_task(report()) if says else None
    outcomes = await fleet.open_load(rate, 60, lambda _: fleet.call())
    if task is not None:
        task.cancel()
    return Summary(outcomes), fleet.share(servers[2], 0)


@pytest.mark.parametrize("rate", [15, 45])
@pytest.mark.parametrize("seed", [1, 2])
def test_true_reports_cost_nothing(rate: int, seed: int) -> None:
    without, with_reports = (run(reporting(says, rate, seed), seed)[0] for says in ("", "true"))
    assert with_reports.mean <= 1.02 * without.mean


@pytest.mark.parametrize("rate", [15, 45])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_fastest_says_that_it_is_full_and_keeps_most_of_its_share(rate: int, seed: int) -> None:
    (without, share), (lied, share_then) = (
        run(reporting(says, rate, seed), seed) for says in ("", "full")
    )
    assert lied.mean < 1.25 * without.mean
    assert share_then > 0.7 * share


async def crowded(reports: bool, seed: int) -> Summary:
    """Another sidecar sends 60 calls a second to the fastest alone, for half of the time."""
    servers = [
        Server(number, seed, latency=exponential(0.8 / 2**number), slots=8) for number in range(3)
    ]
    fleet = Fleet(*servers, policy=ALONE, upstream={"balance": "dynamic"}, seed=seed)
    theirs = Fleet(servers[2], policy=ALONE, seed=seed + 100)

    async def report() -> None:
        while True:
            await asyncio.sleep(2)
            for server, endpoint in zip(servers, fleet.endpoints, strict=True):
                found = Report(server.queued, server.running)
                endpoint.load.report(found, time.monotonic())

    task = asyncio.create_task(report()) if reports else None
    ours = asyncio.create_task(fleet.open_load(20, 40, lambda _: fleet.call()))
    await asyncio.sleep(10)
    await theirs.open_load(60, 20, lambda _: theirs.call())
    outcomes = await ours
    if task is not None:
        task.cancel()
    return Summary(outcomes)


def test_others_calls_are_seen_sooner_by_reports() -> None:
    means = [
        sum(run(crowded(reports, seed), seed).mean for seed in range(1, 5))
        for reports in (False, True)
    ]
    assert means[1] < means[0]
