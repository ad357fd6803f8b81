from __future__ import annotations

import math

import pytest

from sidecar.policy.aimd import Aimd


def busy(rate: float, seconds: int = 120) -> tuple[Aimd, float]:
    """One that sends so many calls a second."""
    pace, now = Aimd(), 0.0
    for number in range(int(rate * seconds)):
        now = number / rate
        pace.pass_time(now)
        pace.sent()
    return pace, now


def test_nothing_is_bounded_before_a_refusal() -> None:
    pace, _ = busy(100.0)
    assert (pace.rate, pace.wait()) == (None, 0.0)


def test_a_refusal_leaves_half_of_the_rate_that_was_measured() -> None:
    pace, _ = busy(10.0)
    pace.refused(too_fast=False)
    assert pace.rate == pytest.approx(5.0, rel=0.05)


def held(pace: Aimd, now: float, seconds: float) -> float:
    """Have calls wait for it all the time. Return the time then."""
    end = now + seconds
    while now < end:
        pace.pass_time(now)
        if not pace.wait():
            pace.sent()
        now += 0.05
    return now


def test_later_refusals_take_three_tenths_of_the_pace() -> None:
    pace, _ = busy(10.0)
    for _ in range(3):
        pace.refused(too_fast=False)
    assert pace.rate == pytest.approx(5.0 * 0.7**2, rel=0.05)


@pytest.mark.parametrize("calls", [0.1, 1.0, 10.0])
def test_it_grows_back_what_a_refusal_takes_in_the_time_in_which_one_is_due(calls: float) -> None:
    pace, now = busy(calls * 2, 600)
    for _ in range(10):  # the search is over
        pace.refused(too_fast=False)
    pace.rate = calls
    seconds = 0.2 / pace._due()
    held(pace, now, seconds)
    assert pace.rate == pytest.approx(calls * math.exp(0.3 * 0.2), rel=0.02)


def test_who_has_less_grows_faster_and_risks_a_share_that_falls_with_its_pace() -> None:
    pace, _ = busy(10.0)
    for _ in range(20):
        pace.refused(too_fast=False)
    shares, due = [], []
    for rate in (0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 50.0):
        pace.rate = rate
        due.append(pace._due())
        shares.append(pace._due() / rate)
    assert due == sorted(due, reverse=True)
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(0.1)


def test_it_grows_slower_after_growing_too_fast() -> None:
    grown = []
    for too_fast in (False, True):
        pace, now = busy(10.0)
        pace.refused(too_fast=too_fast)
        before = pace.rate or 0.0
        held(pace, now, 20.0)
        grown.append(math.log((pace.rate or 0.0) / before))
    assert grown[1] == pytest.approx(grown[0] / 5, rel=0.05)


def test_it_does_not_grow_while_nobody_waits() -> None:
    pace, now = busy(10.0)
    pace.refused(too_fast=False)
    before = pace.rate
    for _ in range(100):
        now += 2.0
        pace.pass_time(now)
        pace.sent()
    assert pace.rate == before


def test_calls_are_spread_and_none_goes_before_its_time() -> None:
    pace, now = busy(10.0)
    pace.refused(too_fast=False)
    begun, went = now, 0
    while now < begun + 20:
        pace.pass_time(now)
        wait = pace.wait()
        if wait:
            now += wait + 1e-6
        else:
            pace.sent()
            went += 1
    # 5 a second, which grow a little, and what may go at once.
    assert 100 <= went <= 5.3 * 20 + 3 * 5.3 + 1


def test_refusals_without_end_leave_a_pace() -> None:
    pace, now = busy(10.0)
    for _ in range(50):
        pace.refused(too_fast=False)
        now += 1.0
        pace.pass_time(now)
    assert pace.rate is not None
    assert 1 / 60 <= pace.rate < 0.1


def test_a_refusal_is_forgotten_when_no_call_has_waited_for_an_hour() -> None:
    pace, now = busy(10.0)
    pace.refused(too_fast=False)
    pace.pass_time(now + 3500.0)
    assert pace.rate is not None
    pace.pass_time(now + 3700.0)
    assert pace.rate is None
