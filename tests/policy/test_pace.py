"""The pace of a quota: alone, and of many who share one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.quota import Alone, Client, Deaf, Divided, Fleet, Paced, Provider, Windowed
from sidecar.policy.pace import Going, Pace

ONE = {"requests": 1.0}


def goes(pace: Pace, now: float) -> Going:
    call = pace.enter(ONE, now)
    assert call.going is not None
    return call.going


def known(limit: float, remaining: float, now: float = 0.0) -> Pace:
    """A pace that was told the level of its bucket."""
    pace = Pace()
    pace.told(goes(pace, now), "requests", limit, remaining, now)
    return pace


def test_nothing_is_paced_before_a_limit_is_known() -> None:
    pace = Pace()
    for _ in range(1000):
        goes(pace, 0.0)
    assert pace.rates() == {}


@pytest.mark.parametrize(
    ("remaining", "rate"), [(600, 10.0), (300, 10 * math.exp(-4)), (0, 10 * math.exp(-8))]
)
def test_the_pace_falls_as_the_bucket_empties(remaining: float, rate: float) -> None:
    assert known(600, remaining).rates() == {"requests": pytest.approx(rate)}


def test_a_full_bucket_lets_some_go_at_once_and_spreads_the_rest() -> None:
    pace = known(600, 600)
    calls = [pace.enter(ONE, 0.0) for _ in range(60)]
    at_once = sum(call.going is not None for call in calls)
    assert 10 <= at_once <= 30
    now, counts = 0.0, [at_once]
    while pace.waiting:
        now += 1.0
        before = pace.waiting
        pace.advance(now)
        counts.append(before - pace.waiting)
    assert max(counts[1:]) <= 10  # the whole quota, and no more


def test_calls_go_in_order_and_who_gives_up_does_not() -> None:
    pace = known(60, 30)
    calls = [pace.enter(ONE, 0.0) for _ in range(6)]
    waiting = [call for call in calls if call.going is None]
    woken: list[int] = []
    for number, call in enumerate(waiting):
        call.wake = lambda number=number: woken.append(number)
    pace.leave(waiting[1])
    now = 0.0
    while (after := pace.advance(now)) is not None:
        now += after + 1e-6
    assert woken == [number for number in range(len(waiting)) if number != 1]


def test_a_refusal_stops_all_and_halves_the_pace_once() -> None:
    pace = known(600, 600)
    for _ in range(3):  # those in flight together tell one thing
        pace.refused(5.0, too_fast=False, now=0.0)
    assert pace.eased == 0.5
    assert pace.enter(ONE, 4.9).going is None
    assert pace.advance(5.0) is None
    pace.refused(1.0, too_fast=False, now=6.0)
    assert pace.eased == pytest.approx((0.5 + 6 / 30) / 2)


def test_the_pace_grows_back_by_a_constant_amount_and_slowly_after_growing_too_fast() -> None:
    pace = known(600, 600)
    pace.refused(0.0, too_fast=False, now=0.0)
    grown = []
    for now in (3.0, 6.0, 9.0, 30.0):
        pace.advance(now)
        grown.append(pace.eased)
    assert grown == pytest.approx([0.6, 0.7, 0.8, 1.0])
    pace.refused(0.0, too_fast=True, now=30.0)
    pace.advance(60.0)
    assert pace.eased == pytest.approx(0.6)
    pace.advance(200.0)
    assert pace.eased == 1.0
    pace.refused(0.0, too_fast=False, now=200.0)
    pace.advance(203.0)
    assert pace.eased == pytest.approx(0.6)


def test_refusals_without_end_leave_a_pace() -> None:
    pace = known(600, 0)
    now = 0.0
    while now < 100.0:
        pace.refused(0.5, too_fast=True, now=now)
        now += 1.0
    call = pace.enter(ONE, now)
    while call.going is None:
        after = pace.advance(now)
        if after is not None:
            assert after < 600
            now += after + 1e-6


def test_own_calls_that_a_reply_can_not_know_of_are_taken_off() -> None:
    pace = known(600, 600)
    first = goes(pace, 0.0)
    for _ in range(9):
        goes(pace, 0.0)
    pace.told(first, "requests", 600, 599, 0.0)
    assert pace.rates()["requests"] == pytest.approx(10 * math.exp(-8 * 10 / 600))


def test_a_reply_that_was_overtaken_tells_nothing() -> None:
    pace = known(600, 600)
    first, second = goes(pace, 0.0), goes(pace, 0.0)
    pace.told(second, "requests", 600, 300, 0.0)
    rate = pace.rates()["requests"]
    pace.told(first, "requests", 600, 599, 0.0)
    assert pace.rates()["requests"] == rate


def test_the_tightest_kind_counts() -> None:
    pace = Pace()
    going = goes(pace, 0.0)
    pace.told(going, "requests", 600, 600, 0.0)
    pace.told(going, "tokens", 6000, 0, 0.0)
    cheap = [pace.enter({"requests": 1.0, "tokens": 0.0}, 0.0) for _ in range(5)]
    assert all(call.going is not None for call in cheap)
    pace.enter({"requests": 1.0, "tokens": 100.0}, 0.0)
    assert pace.enter({"requests": 1.0, "tokens": 100.0}, 0.0).going is None


def test_it_is_idle_when_it_has_nothing_to_remember() -> None:
    pace = known(600, 300)
    assert not pace.idle(1.0)
    assert pace.idle(100.0)
    pace.refused(1.0, too_fast=False, now=100.0)
    assert not pace.idle(102.0)
    assert pace.idle(120.0)


@given(
    st.floats(1, 1e6),
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(0, 30), st.floats(0, 100)), max_size=50),
)
def test_who_waits_goes_soon_and_nobody_is_faster_than_the_whole_quota(
    limit: float, level: float, calls: list[tuple[float, float]]
) -> None:
    pace, now, sent = known(limit, limit * level), 0.0, 1.0
    for step, cost in calls:
        now += step
        call = pace.enter({"requests": cost}, now)
        tries = 0
        while call.going is None:  # the pace changes with the level: it may have to look again
            after = pace.advance(now)
            assert after is not None
            assert 0 < after < 1e4
            now += after * (1 + 1e-9)
            pace.advance(now)
            tries += 1
            assert tries < 30
        assert sent <= 1 + limit / 60 * (now + 3) * (1 + 1e-6) + 1e-3
        sent += cost


# -- many who share one quota --


def shared(
    seed: int,
    make: type[Client] = Paced,
    sides: int = 50,
    requests: float = 600.0,
    tokens: float = 900_000.0,
    latency: float = 3.0,
    provider: type[Provider] = Provider,
) -> Fleet:
    return Fleet(seed, make, sides, {"requests": requests, "tokens": tokens}, latency, provider)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "quota",
    [
        {},
        {"tokens": 420_000.0},  # tokens are what is short
        {"latency": 10.0},
        {"requests": 120.0, "tokens": 180_000.0},  # each may make a call in 25 s
        {"sides": 5},
    ],
    ids=["requests", "tokens", "slow", "small", "few"],
)
def test_a_fleet_uses_its_quota_fairly_and_is_not_refused(
    seed: int, quota: dict[str, float]
) -> None:
    result = shared(seed, **quota).run(3)  # type: ignore[arg-type]
    assert result.share >= 0.95
    assert result.refused < 0.01
    assert result.fairness >= 0.95


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sides", [50, 5])
def test_calls_are_spread_over_the_window_of_a_provider_that_fills_its_bucket_at_once(
    seed: int, sides: int
) -> None:
    fleet = shared(seed, sides=sides, provider=Windowed)
    result = fleet.run(4)
    assert result.share >= 0.95
    assert result.refused < 0.01
    assert result.fairness >= 0.95
    quarters = [0, 0, 0, 0]
    for time in fleet.answers:
        quarters[int(time % 60 // 15)] += time > 120
    assert max(quarters) < 1.25 * sum(quarters) / 4


@pytest.mark.parametrize("seed", range(2))
def test_tokens_of_a_window_are_used_up(seed: int) -> None:
    result = shared(seed, tokens=420_000.0, provider=Windowed).run(4)
    assert result.share >= 0.95
    assert result.refused < 0.03


@pytest.mark.parametrize("seed", range(2))
def test_a_fleet_whose_provider_tells_only_refusals_uses_its_quota_and_is_refused_seldom(
    seed: int,
) -> None:
    result = shared(seed, Deaf).run(16, settle=6)
    assert result.share >= 0.95
    assert result.refused < 0.01
    assert result.mean >= 0.85


def test_the_same_fleet_without_a_pace_is_refused_nearly_always() -> None:
    assert shared(1, Alone).run(2).refused > 0.5


def test_the_same_fleet_with_a_fixed_part_for_each_wastes_what_some_do_not_want() -> None:
    assert shared(1, Divided).run(3).share < 0.9
