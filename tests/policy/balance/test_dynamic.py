"""Each part of the cost by example; what comes of it in test_simulated.py."""

from __future__ import annotations

import pytest

from sidecar.policy.load import Load, Report
from tests.policy.balance.fleet import Picker, balancer, fits, fleet

NOW = 100.0


def seen(weights: list[float], *latencies: float) -> list[Load]:
    members = fleet(weights, NOW)
    for member, latency in zip(members, latencies, strict=True):
        member.observe(latency, False, NOW, 10.0)
    return members


def picked(members: list[Load], now: float = NOW, **settings: float) -> set[int]:
    counts = Picker(balancer("dynamic", members, now, **settings)).counts(100, now)
    return {members.index(member) for member in counts}


def test_the_faster_one() -> None:
    assert picked(seen([1.0] * 3, 0.3, 0.1, 0.2)) == {1}


def test_among_equals_any() -> None:
    members = fleet([1.0] * 4)
    counts = Picker(balancer("dynamic", members)).counts(2000)
    assert fits([counts[member] for member in members], [1.0] * 4)


@pytest.mark.parametrize(("calls", "expected"), [(0, {0}), (1, {0}), (2, {0, 1}), (3, {1})])
def test_a_call_behind_others_waits_for_them(calls: int, expected: set[int]) -> None:
    members = seen([1.0, 1.0], 0.125, 0.375)
    members[0].in_flight = calls
    assert picked(members) == expected


@pytest.mark.parametrize(("weight", "expected"), [(1.0, {1}), (2.0, {0, 1}), (3.0, {0})])
def test_weight(weight: float, expected: set[int]) -> None:
    assert picked(seen([weight, 1.0], 0.5, 0.25)) == expected


def test_failures_cost_more_than_their_share() -> None:
    members = seen([1.0, 1.0], 0.1, 0.5)
    assert picked(members) == {0}
    for _ in range(7):  # more than half: 8 times as dear
        members[0].observe(0.01, True, NOW, 10.0)
    assert picked(members) == {1}


def test_one_that_never_answered_is_taken_for_an_average_one() -> None:
    members = [*seen([1.0, 1.0], 0.1, 0.3), *fleet([1.0], NOW)]
    assert picked(members) == {0}
    members[0].in_flight = 2
    assert picked(members) == {2}


def test_what_was_slow_is_tried_again() -> None:
    members = seen([1.0, 1.0], 0.1, 1.0)
    for now in (NOW, NOW + 10, NOW + 20):
        members[0].observe(0.1, False, now, 10.0)
        assert picked(members, now) == {0}
    members[0].observe(0.1, False, NOW + 25, 10.0)
    assert picked(members, NOW + 25) == {1}


@pytest.mark.parametrize(
    "report",
    [
        Report(queued=2),
        Report(running=2),
        Report(kv_used=0.9),
        Report(utilization=0.9),
        Report(kv_used=2.0),  # whoever says that means all
    ],
)
def test_a_report_steers_until_it_is_stale(report: Report) -> None:
    members = seen([1.0, 1.0], 0.1, 0.15)
    members[0].report(report, NOW)
    assert picked(members) == {1}
    for later in (9.0, 10.0, 1000.0):
        for member, latency in zip(members, (0.1, 0.15), strict=True):
            member.observe(latency, False, NOW + later, 10.0)
        assert picked(members, NOW + later) == {0}
    members[0].report(report, NOW + 1000)
    assert picked(members, NOW + 1000) == {1}


def test_a_report_fades() -> None:
    members = seen([1.0, 1.0], 0.1, 0.14)
    members[0].report(Report(queued=4), NOW)
    took = []
    for later in range(10):
        for member, latency in zip(members, (0.1, 0.14), strict=True):
            member.observe(latency, False, NOW + later, 10.0)
        took.append(picked(members, NOW + later))
    # (1 + 4/5 x freshness) x 0.1 against 0.14: freshness must fall below a half
    assert took[:5] == [{1}] * 5
    assert took[6:] == [{0}] * 4


def test_our_own_calls_are_not_counted_twice() -> None:
    members = seen([1.0, 1.0], 0.1, 0.1)
    for member in members:
        member.in_flight = 4
    members[0].report(Report(running=4, kv_used=1.0), NOW)
    assert picked(members) == {0, 1}
    members[0].in_flight = members[1].in_flight = 2  # two of them have ended since
    assert picked(members) == {0, 1}
    members[0].report(Report(running=3, queued=2), NOW)
    assert picked(members) == {1}


@pytest.mark.parametrize(
    "report",
    [
        Report(kv_used=1.0),
        Report(queued=1e9),
        Report(1e9, 1e9, 1.0, 1.0),
        Report(1e9, 1e9, 1e9, 1e9),
    ],
)
def test_no_report_does_more_than_double_the_cost(report: Report) -> None:
    members = seen([1.0, 1.0], 0.1, 0.19)
    members[0].report(report, NOW)
    assert picked(members) == {1}
    for latency in (0.21, 0.5):
        members[1].latency = latency
        assert picked(members) == {0}


@pytest.mark.parametrize("report", [Report(), Report(-5, -5, -1.0, -1.0)])
def test_no_report_makes_it_cheaper(report: Report) -> None:
    members = seen([1.0, 1.0], 0.11, 0.1)
    members[0].report(report, NOW)
    assert picked(members) == {1}


def test_one_that_was_quick_and_is_silent_now_is_as_slow_as_it_is_silent() -> None:
    members = seen([1.0, 1.0], 0.01, 0.1)
    members[0].ask(NOW)
    assert picked(members, NOW + 0.05) == {0}
    assert picked(members, NOW + 0.12) == {1}
    members[0].answer(NOW + 0.12)
    assert picked(members, NOW + 0.15) == {0}


def test_one_call_that_takes_long_makes_it_no_more_than_so_dear() -> None:
    members = seen([1.0, 1.0], 0.1, 0.1)
    for member in members:
        member.seen_at = NOW + 1000
    members[0].ask(NOW)
    for in_flight, cheapest in ((2, {1}), (4, {0})):  # four times what is usual
        members[1].in_flight = in_flight
        assert picked(members, NOW + 1000) == cheapest


def test_two_of_many() -> None:
    members = seen([1.0] * 20, *[0.1 * rank for rank in range(1, 21)])
    counts = Picker(balancer("dynamic", members, NOW)).counts(5000, NOW)
    assert fits([counts[member] for member in members], [39 - 2 * rank for rank in range(20)])
