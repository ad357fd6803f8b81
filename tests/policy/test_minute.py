from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.minute import Minute


def test_what_was_used_counts_for_a_minute() -> None:
    minute = Minute(10)
    minute.add(6, 100.9)
    assert minute.fits(4, 101.0)
    assert not minute.fits(5, 101.0)
    minute.add(4, 130.0)
    assert (minute.used(160.95), minute.used(161.0), minute.used(190.99), minute.used(191.0)) == (
        10, 4, 4, 0,
    )  # fmt: skip


def test_the_wait_is_until_enough_has_passed() -> None:
    minute = Minute(10)
    minute.add(3, 100.0)
    minute.add(3, 110.0)
    minute.add(3, 120.0)
    waits = [minute.wait(amount, 130.0) for amount in (1, 4, 5, 7, 8, 10)]
    assert waits == [0.0, 31.0, 41.0, 41.0, 51.0, 51.0]
    assert minute.wait(11, 130.0) == inf
    assert minute.wait(0, 130.0) == 0.0


@pytest.mark.parametrize(
    ("at", "more", "used", "later"),
    [
        (130.0, -3, 2, 0),
        (130.0, 20, 25, 0),  # over the limit, until its own minute is over
        (170.0, -3, 0, 0),
        (170.0, 20, 20, 20),  # its minute is over: what it lacked counts anew
    ],
)
def test_an_amount_can_be_corrected(at: float, more: int, used: int, later: int) -> None:
    minute = Minute(10)
    slot = minute.add(5, 100.0)
    minute.amend(slot, more, at)
    assert minute.used(at) == used
    assert minute.used(200.0) == later


AMOUNTS = st.integers(0, 12)
STEPS = st.one_of(st.floats(0, 3), st.floats(0, 80))


@given(st.lists(st.tuples(STEPS, AMOUNTS), max_size=60))
def test_no_sixty_seconds_have_more_than_the_limit(steps: list[tuple[float, int]]) -> None:
    minute, now, taken = Minute(20), 3.0, list[tuple[float, int]]()
    for step, amount in steps:
        now += step
        wait = minute.wait(amount, now)
        if wait:
            assert not minute.fits(amount, now + wait * 0.99)
            now += wait + 1e-6
            assert minute.fits(amount, now)
        minute.add(amount, now)
        taken.append((now, amount))
        assert sum(amount for when, amount in taken if when > now - 60) <= 20
        assert len(minute._slots) <= 61
