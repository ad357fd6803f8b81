"""What methods make of endpoints that are slow, broken or busy, in virtual time."""

from __future__ import annotations

import random

import pytest

from sidecar.policy.load import Load, Report
from tests.policy.balance.fleet import Behaviour, balancer, fleet, simulate

USUAL = 0.1


def slow(*which: str, factor: float = 10.0) -> Behaviour:
    """Times of *which* are longer; all of them differ from call to call."""

    def behaviour(member: Load, _: float, dice: random.Random) -> tuple[float, bool]:
        usual = USUAL * (factor if member.name in which else 1.0)
        return dice.uniform(0.5, 1.5) * usual, False

    return behaviour


def failing(which: str, heals: float) -> Behaviour:
    """*which* fails at once, until it *heals*."""

    def behaviour(member: Load, now: float, dice: random.Random) -> tuple[float, bool]:
        if member.name == which and now < heals:
            return 0.002, True
        return dice.uniform(0.5, 1.5) * USUAL, False

    return behaviour


@pytest.mark.parametrize("count", [3, 5, 12])
@pytest.mark.parametrize(("method", "most"), [("least_conn", 0.5), ("dynamic", 0.35)])
@pytest.mark.parametrize("rate", [20.0, 200.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_one_of_a_few_is_ten_times_slower(
    count: int, method: str, most: float, rate: float, seed: int
) -> None:
    """*most*: the part of its equal share that it may still get."""
    plain, steered = (
        simulate(each, members, slow("http://h0"), rate, seed=seed)
        for each, members in (("round_robin", fleet([1.0] * count)), (method, fleet([1.0] * count)))
    )
    got = {load.name: calls / plain.counts.total() for load, calls in plain.counts.items()}
    assert abs(got["http://h0"] - 1 / count) < 0.01
    part = {load.name: calls / steered.counts.total() for load, calls in steered.counts.items()}
    if method == "dynamic" or rate > 100:  # an idle one looks like any other to least_conn
        assert part.get("http://h0", 0.0) < most / count
    else:
        assert part["http://h0"] < 0.75 / count
    assert steered.mean < plain.mean * (0.8 if count < 12 else 0.9)


def test_the_others_are_used_alike() -> None:
    members = fleet([1.0] * 5)
    counts = simulate("dynamic", members, slow("http://h0"), 200.0).counts
    fast = [counts[member] for member in members[1:]]
    assert max(fast) < 1.2 * min(fast)


@pytest.mark.parametrize("count", [3, 12])
def test_a_fast_failure_draws_no_calls_and_is_forgiven(count: int) -> None:
    members = fleet([1.0] * count)
    made = balancer("dynamic", members)
    behaviour = failing("http://h0", heals=60.0)
    sick = simulate("dynamic", members, behaviour, balancer_=made).counts
    assert 0 < sick[members[0]] < 0.25 * sick.total() / count
    simulate("dynamic", members, behaviour, begin=60.0, seconds=30.0, balancer_=made)
    healed = simulate("dynamic", members, behaviour, begin=90.0, balancer_=made).counts
    assert healed[members[0]] > 0.5 * healed.total() / count


def test_one_that_failed_from_its_first_call_on() -> None:
    """It has no latency: milliseconds to a failure must not count as one."""
    members = fleet([1.0] * 3)
    counts = simulate("dynamic", members, failing("http://h0", 1e9), seconds=5.0).counts
    assert counts[members[0]] < 0.2 * counts.total()


def test_one_that_was_slow_gets_its_calls_again() -> None:
    members = fleet([1.0] * 3)
    made = balancer("dynamic", members)
    simulate("dynamic", members, slow("http://h0"), seconds=30.0, balancer_=made)
    simulate("dynamic", members, slow(), begin=40.0, seconds=60.0, balancer_=made)
    counts = simulate("dynamic", members, slow(), begin=110.0, balancer_=made).counts
    assert counts[members[0]] > 0.2 * counts.total()


@pytest.mark.parametrize(
    "report", [Report(queued=20), Report(kv_used=0.9), Report(utilization=0.9)]
)
def test_a_loaded_one_gets_less_while_it_says_so(report: Report) -> None:
    members = fleet([1.0] * 3)
    members[0].report(report, 0.0)
    counts = simulate("dynamic", members, slow(), 100.0, seconds=3.0).counts
    assert counts[members[0]] < 0.25 * counts.total()
    later = simulate("dynamic", members, slow(), 100.0, begin=20.0).counts
    assert later[members[0]] > 0.25 * later.total()


@pytest.mark.parametrize("method", ["least_conn", "dynamic"])
@pytest.mark.parametrize("count", [3, 15])
def test_weights_are_respected_under_load(method: str, count: int) -> None:
    members = fleet([4.0, 2.0, 1.0] * (count // 3))
    counts = simulate(method, members, slow(), rate=100.0 * count, seconds=20.0).counts
    whole = sum(member.weight for member in members)
    for member in members:
        share = member.weight / whole
        assert 0.65 * share < counts[member] / counts.total() < 1.35 * share
