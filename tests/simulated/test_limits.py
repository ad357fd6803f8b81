"""Rate limits and random failures: through the sidecar no fewer calls succeed than without."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.simulated.callers import Outcome
from tests.simulated.clock import run
from tests.simulated.fleet import Fleet, Summary
from tests.simulated.servers import Quota, Server, constant

DIRECT: dict[str, Any] = {"retry": {"max": 0}, "breaker": None}
"""What the calls of an SDK come to by themselves."""


def forbidden(outcomes: list[Outcome]) -> int:
    return sum(each.fields.get(b"x-should-retry") == b"false" for each in outcomes)


async def bursts(policy: dict[str, Any], retry_after: float | None) -> list[Outcome]:
    """150 calls each 4 s, of a quota of 50 a second."""
    server = Server(latency=constant(0.05), quota=Quota(50, retry_after))
    fleet, tasks = Fleet(server, policy=policy), []
    for _ in range(5):
        tasks += [asyncio.create_task(fleet.sdk()) for _ in range(150)]
        await asyncio.sleep(4)
    return list(await asyncio.gather(*tasks))


def test_a_burst_that_the_quota_has_room_for_succeeds_whole() -> None:
    outcomes = run(bursts({}, 1.0))
    assert Summary(outcomes).ok == 1.0


@pytest.mark.parametrize("retry_after", [1.0, 3.0, None])
def test_bursts_fare_as_without_us(retry_after: float | None) -> None:
    outcomes = run(bursts({}, retry_after))
    assert Summary(outcomes).ok >= Summary(run(bursts(DIRECT, retry_after))).ok
    assert forbidden(outcomes) == 0


async def at_random(policy: dict[str, Any], status: int, share: float, count: int) -> list[Outcome]:
    """60 callers at once, 3,000 calls, of which a share fails wherever it goes."""
    servers = [Server(n, latency=constant(0.05), errors={status: share}) for n in range(count)]
    fleet = Fleet(*servers, policy=policy)
    outcomes: list[Outcome] = []

    async def caller() -> None:
        while len(outcomes) < 3000:
            outcomes.append(await fleet.sdk())

    await asyncio.gather(*(caller() for _ in range(60)))
    return outcomes


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("status", "share"), [(500, 0.2), (500, 0.3), (500, 0.4), (429, 0.3), (503, 0.3)]
)
def test_random_failures_end_no_worse_than_with_the_sdk_alone(
    status: int, share: float, count: int
) -> None:
    outcomes = run(at_random({}, status, share, count))
    expected = 1 - share**3
    assert Summary(outcomes).ok >= expected - 3 * (expected * (1 - expected) / 3000) ** 0.5
    assert forbidden(outcomes) == 0


@pytest.mark.parametrize(("retries", "patience"), [(0, 1.5), (0, 60.0), (2, 60.0), (2, 1.5)])
def test_a_lasting_limit_is_seen_as_without_us(retries: int, patience: float) -> None:
    async def one(policy: dict[str, Any]) -> tuple[int, float, int]:
        quota = Quota(1e-9, 1.0)
        server = Server(quota=quota)
        outcome = await Fleet(server, policy=policy).sdk(retries=retries, patience=patience)
        return outcome.status, round(outcome.seconds, 2), len(server.arrivals)

    assert run(one({})) == run(one(DIRECT)) == (429, float(retries), retries + 1)


async def storm(status: int, retry_after: float | None) -> tuple[float, list[Outcome]]:
    """Requests for each call of SDKs, from when all endpoints fail on."""
    servers = [Server(number, latency=constant(0.05)) for number in range(4)]
    fleet = Fleet(*servers)
    await fleet.open_load(60, 5, lambda _: fleet.sdk())
    for server in servers:
        server.errors, server.retry_after, server.arrivals = {status: 1.0}, retry_after, []
    outcomes = await fleet.open_load(60, 30, lambda _: fleet.sdk())
    return fleet.amplification(outcomes), outcomes


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize("retry_after", [None, 1.0])
def test_a_storm_is_not_amplified(status: int, retry_after: float | None) -> None:
    """A fifth more, and 10 a second of the 60."""
    amplification, outcomes = run(storm(status, retry_after))
    assert amplification < 1.2 + 10 / 60 + 0.1
    assert forbidden(outcomes) > 0.8 * len(outcomes)
