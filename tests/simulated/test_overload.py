"""Twice as many calls as four servers of eight slots can serve."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

import pytest

from tests.simulated.callers import Outcome
from tests.simulated.clock import run
from tests.simulated.fleet import Fleet
from tests.simulated.servers import Sample, Server, constant, exponential, lognormal

SECONDS = 20
DEADLINE: dict[str, Any] = {"timeouts": {"total": "3s"}}
LONG = {"max_in_flight": 32, "max_queued": 1000}
SERVICES = {
    "constant": constant(0.4), "exponential": exponential(0.4), "lognormal": lognormal(0.3, 0.7),
}  # fmt: skip


class Served:
    """What came of it."""

    def __init__(self, fleet: Fleet, outcomes: list[Outcome], begin: float) -> None:
        in_time = [o for o in outcomes if o.ok and o.began + o.seconds < begin + SECONDS]
        self.goodput = len(in_time) / SECONDS
        worked = sum(server.worked for server in fleet.servers)
        self.wasted = sum(server.wasted for server in fleet.servers) / worked
        self.most = max(server.most for server in fleet.servers)
        refused = [outcome for outcome in outcomes if outcome.status == 503]
        self.refused_after = sum(o.seconds for o in refused) / max(1, len(refused))
        self.told = all(b"retry-after" in outcome.fields for outcome in refused)


async def overload(service: Sample, admission: dict[str, Any], policy: dict[str, Any]) -> Served:
    servers = [Server(number, latency=service, slots=8) for number in range(4)]
    upstream = {"balance": "least_conn", "admission": admission}
    fleet = Fleet(*servers, policy=policy, upstream=upstream)
    begin = time.monotonic()
    outcomes = await fleet.open_load(160, SECONDS, lambda _: fleet.call(patience=10.0))
    return Served(fleet, outcomes, begin)


@pytest.mark.parametrize(
    ("service", "goodput", "wasted"),
    [("constant", 77, 0.001), ("exponential", 76, 0.2), ("lognormal", 76, 0.2)],
)
def test_a_long_queue_with_a_deadline_wastes_no_work(
    service: str, goodput: float, wasted: float
) -> None:
    """How long a call will take is known but for its chance."""
    served = run(overload(SERVICES[service], LONG, DEADLINE))
    assert served.goodput >= goodput
    assert served.wasted <= wasted
    assert served.refused_after < 1.0
    assert served.told


def test_hedges_add_nothing_to_an_upstream_that_has_all_it_can_take() -> None:
    hedge = {"hedge": {"quantile": "90%", "budget": {"ratio": "15%"}}}
    served = run(overload(SERVICES["exponential"], {"max_in_flight": 32}, hedge))
    assert served.most == 8
    assert served.wasted < 0.03


@pytest.mark.parametrize("policy", [{}, DEADLINE])
def test_a_client_that_sends_little_is_served(policy: dict[str, Any]) -> None:
    """80 % of the calls are one client's; the others are half of what is fair."""

    async def two() -> dict[str, list[Outcome]]:
        servers = [Server(number, latency=SERVICES["exponential"], slots=8) for number in range(4)]
        admission = {"max_in_flight": 32, "max_queued": 1000 if policy else 100}
        upstream = {"balance": "least_conn", "admission": admission}
        fleet = Fleet(*servers, policy=policy, upstream=upstream)
        found: defaultdict[str, list[Outcome]] = defaultdict(list)

        async def one(_: int) -> Outcome:
            client = "10.0.0.1" if fleet.draws.random() < 0.8 else "10.0.0.2"
            outcome = await fleet.call(peer=client, patience=10.0)
            found[client].append(outcome)
            return outcome

        await fleet.open_load(160, SECONDS, one)
        return found

    found = run(two())
    shares = {client: sum(o.ok for o in each) / len(each) for client, each in found.items()}
    assert shares["10.0.0.2"] > 0.98
    assert sum(o.ok for each in found.values() for o in each) / SECONDS > 75
