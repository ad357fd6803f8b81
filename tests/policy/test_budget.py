from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.budget import Budget, BudgetSettings

USUAL = BudgetSettings(0.2, 1, 10)


def spent(budget: Budget, now: float) -> int:
    """How many retries it gives at one moment."""
    count = 0
    while budget.spend(now):
        count += 1
    return count


def test_the_floor_is_there_without_any_call() -> None:
    budget = Budget(USUAL)
    assert budget.balance(5) == 10
    assert spent(budget, 5) == 10
    assert not budget.allows(5)
    assert spent(budget, 14.9) == 0
    assert spent(budget, 16.1) == 10


def test_calls_earn_retries_until_they_are_forgotten() -> None:
    budget = Budget(USUAL._replace(min_per_second=0))
    assert not budget.allows(0)
    for _ in range(50):
        budget.count(0)
    assert budget.balance(9.9) == 10
    assert budget.balance(11.1) == 0


def test_what_others_retry_overdraws() -> None:
    budget = Budget(USUAL)
    for _ in range(12):
        budget.charge(5)
    assert budget.balance(5) == -2
    assert not budget.spend(5)
    assert budget.balance(16.1) == 10


def test_what_was_asked_for_is_not_counted_once() -> None:
    budget = Budget(BudgetSettings(0.0, 1.0, 10.0))
    for _ in range(3):
        budget.excuse()
    for _ in range(4):
        budget.charge(5)
    assert budget.balance(5) == 9


def test_excuses_pay_for_no_retry_of_ours() -> None:
    budget = Budget(BudgetSettings(0.0, 0.1, 10.0))
    for _ in range(5000):
        budget.excuse()
    assert budget.spend(5)
    assert not budget.spend(5)
    for _ in range(1001):  # as many as are remembered, and one
        budget.charge(5)
    assert budget.balance(5) == -1


def test_looking_takes_nothing() -> None:
    budget = Budget(USUAL)
    assert all(budget.allows(1) for _ in range(100))


def test_a_part_of_a_retry_is_none() -> None:
    budget = Budget(BudgetSettings(0.5, 0, 10))
    budget.count(0)
    assert (budget.balance(0), budget.allows(0), budget.spend(0)) == (0.5, False, False)
    budget.count(0)
    assert (budget.balance(0), budget.allows(0), budget.spend(0)) == (1, True, True)


def test_other_settings_keep_what_was_counted() -> None:
    budget = Budget(USUAL)
    for _ in range(10):
        budget.count(5)
        budget.charge(5)
    assert budget.balance(5) == 2
    budget.settings = BudgetSettings(0.5, 1, 10)
    assert budget.balance(5) == 5
    budget.settings = BudgetSettings(0.5, 1, 100)
    assert budget.balance(5) == 95
    assert budget.balance(100) == 95
    budget.settings = BudgetSettings(0.5, 10, 1)
    assert budget.balance(100) == 5
    assert budget.balance(101.2) == 10


def test_a_shorter_window_forgets_in_its_own_time() -> None:
    budget = Budget(BudgetSettings(0, 1, 3600))
    budget.charge(5000)
    budget.settings = BudgetSettings(0, 1, 10)
    assert budget.balance(5000) == 9
    assert budget.balance(5011.1) == 10


STEPS = st.one_of(st.just(0.0), st.floats(0, 0.3), st.floats(0, 30))


@given(
    st.sampled_from([0.0, 0.1, 0.2, 1.0]),
    st.sampled_from([0.0, 0.5, 3.0]),
    st.sampled_from([0.5, 1.0, 10.0]),
    st.lists(st.tuples(STEPS, st.sampled_from(["call", "call", "retry", "retry", "sdk"]))),
)
def test_no_window_has_more_retries_than_it_earns(
    ratio: float, floor: float, window: float, steps: list[tuple[float, str]]
) -> None:
    """Against all times of all calls and retries: never too many, and never too few."""
    budget = Budget(BudgetSettings(ratio, floor, window))
    calls: list[float] = []
    retries: list[float] = []
    now = 0.0
    for step, kind in steps:
        now += step

        def within(times: list[float], span: float, now: float = now) -> int:
            return sum(time > now - span + 1e-9 for time in times)

        if kind == "call":
            budget.count(now)
            calls.append(now)
        elif kind == "sdk":
            budget.charge(now)
            retries.append(now)
        elif budget.spend(now):
            retries.append(now)
            most = ratio * (within(calls, 1.1 * window) + 1e-6) + floor * window
            assert within(retries, window) <= most + 1e-6
        else:
            least = ratio * within(calls, window) + floor * window
            assert len([t for t in retries if t > now - 1.1 * window - 1e-9]) + 1 > least - 1e-6


@given(st.lists(st.floats(0, 1e9)))
def test_memory_is_fixed_and_time_may_stand_or_go_back(times: list[float]) -> None:
    budget = Budget(USUAL)
    for now in times:
        budget.count(now)
        assert len(budget._marks) == 11
        assert math.isfinite(budget.balance(now))


@pytest.mark.parametrize("rate", [1, 100])
def test_steady_failure_is_amplified_by_no_more_than_the_ratio(rate: int) -> None:
    budget = Budget(BudgetSettings(0.2, 0, 10))
    granted = 0
    for call in range(100 * rate):
        budget.count(call / rate)
        granted += budget.spend(call / rate)
    assert 0.18 <= granted / (100 * rate) <= 0.2
