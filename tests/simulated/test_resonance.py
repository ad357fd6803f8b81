"""Retries must not keep time with whose turn it is."""

from __future__ import annotations

import pytest

from tests.simulated.clock import run
from tests.simulated.fleet import Fleet
from tests.simulated.servers import Server

AT_ONCE = {"backoff": {"base": "1ms", "cap": "1ms"}, "budget": {"min_per_second": 10_000}}


async def first_attempts(balance: str, bad: int, count: int) -> float:
    """Share of the calls of one caller, one after another, whose first attempt fails."""
    servers = [Server(number, errors={503: float(number < bad)}) for number in range(count)]
    policy = {"breaker": None, "retry": {"max": count - 1, **AT_ONCE}}
    fleet = Fleet(*servers, policy=policy, upstream={"balance": balance})
    failed = 0
    for _ in range(300):
        before = sum(len(server.arrivals) for server in servers[:bad])
        at_well = sum(len(server.arrivals) for server in servers[bad:])
        assert (await fleet.call()).ok
        assert sum(len(server.arrivals) for server in servers[bad:]) == at_well + 1
        failed += sum(len(server.arrivals) for server in servers[:bad]) > before
    return failed / 300


@pytest.mark.parametrize("balance", ["round_robin", "least_conn"])
@pytest.mark.parametrize(("bad", "count"), [(1, 2), (1, 3), (2, 3), (1, 4)])
def test_a_bad_endpoint_gets_its_share_of_first_attempts(
    balance: str, bad: int, count: int
) -> None:
    share = run(first_attempts(balance, bad, count))
    assert abs(share - bad / count) < 0.1
