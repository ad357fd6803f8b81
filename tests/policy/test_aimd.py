from __future__ import annotations

from itertools import pairwise

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


@pytest.mark.parametrize(("too_fast", "grown"), [(False, 0.5), (True, 0.1)])
def test_it_grows_by_a_constant_amount(too_fast: bool, grown: float) -> None:
    pace, now = busy(10.0)
    pace.refused(too_fast=too_fast)
    rates = []
    for _ in range(4):
        rates.append(pace.rate or 0.0)
        now += 10.0
        pace.pass_time(now)
    steps = [after - before for before, after in pairwise(rates)]
    assert steps == pytest.approx([grown] * 3, rel=0.05)


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
    # 5 a second, which grow to 6 in 20 s, and what may go at once.
    assert 100 <= went <= 5.5 * 20 + 3 * 6 + 1


def test_a_second_refusal_takes_half_of_the_rest_and_never_all() -> None:
    pace, now = busy(10.0)
    for _ in range(50):
        pace.refused(too_fast=False)
        now += 1.0
        pace.pass_time(now)
    assert pace.rate is not None
    assert 1 / 60 <= pace.rate < 0.1


def test_an_old_refusal_is_forgotten() -> None:
    pace, now = busy(10.0)
    pace.refused(too_fast=False)
    for _ in range(100):
        now += 10.0
        pace.pass_time(now)
    assert pace.rate is None
