"""A route whose own upstream is dead, and that has another to go to."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.simulated.clock import run
from tests.simulated.fleet import Fleet, Summary
from tests.simulated.servers import Server, lognormal

USUAL = lognormal(0.16, 0.35)
TIGHT: dict[str, Any] = {"timeouts": {"first_byte": "1s"}}


async def dies(policy: dict[str, Any], hang: bool) -> tuple[Summary, float, float]:
    """Calls of the 5th to 10th second, what the dead gets of them a second, and when it is well."""
    primary = [Server(number, latency=USUAL) for number in range(4)]
    spare = [Server(number, latency=USUAL) for number in (10, 11)]
    route = {"fallback": [{"upstream": "v"}]}
    fleet = Fleet(*primary, policy=policy, route=route, others={"v": spare})
    await fleet.open_load(60, 8, lambda _: fleet.call(patience=3.0))
    for server in primary:
        server.hang, server.errors = float(hang), {} if hang else {503: 1.0}
    await fleet.open_load(60, 5, lambda _: fleet.call(patience=3.0))
    begin = time.monotonic()
    during = await fleet.open_load(60, 5, lambda _: fleet.call(patience=3.0))
    at_dead = sum(begin <= at < begin + 5 for server in primary for at in server.arrivals) / 5
    for server in primary:
        server.hang, server.errors = 0.0, {}
    await fleet.open_load(60, 20, lambda _: fleet.call(patience=3.0))
    begin = time.monotonic()
    after = await fleet.open_load(60, 5, lambda _: fleet.call(patience=3.0))
    back = sum(at >= begin for server in primary for at in server.arrivals) / len(after)
    return Summary(during), at_dead, back


@pytest.mark.parametrize("hang", [False, True])
def test_it_is_left_at_once_and_comes_back(hang: bool) -> None:
    during, at_dead, back = run(dies(TIGHT, hang))
    assert during.ok == 1.0
    assert during.mean < 0.25
    assert at_dead < 4  # trials
    assert back > 0.9


def test_without_a_timer_its_callers_tell_when_they_leave() -> None:
    during, at_dead, back = run(dies({}, True))
    assert during.ok > 0.6  # with panic: none
    assert at_dead < 20
    assert back > 0.9
