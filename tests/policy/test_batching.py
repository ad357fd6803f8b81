"""How long a call waits for others, with a clock of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.batching import Arrivals, BatchSettings, Doubt, Load

FIXED = BatchSettings(0.005, False, 100, 1000, 10_000)
AUTO = FIXED._replace(auto=True)


def after(gaps: list[float], settings: BatchSettings = AUTO) -> Arrivals:
    """Arrivals with *gaps* between them; the first is at 1.0."""
    arrivals = Arrivals(settings)
    now = 1.0
    arrivals.arrive(now)
    for gap in gaps:
        now += gap
        arrivals.arrive(now)
    return arrivals


def test_with_a_fixed_window_every_call_waits() -> None:
    arrivals = after([], FIXED)
    assert arrivals.waits(0)
    assert arrivals.due(1.0) == 1.005
    arrivals.waited(in_vain=True)
    assert arrivals.waits(0)


@pytest.mark.parametrize(
    ("gaps", "waits"),
    [
        ([], False),  # nothing is known yet
        ([0.0], False),
        ([0.0] * 3, True),  # a burst
        ([0.001] * 9, True),
        ([0.0049] * 30, True),
        ([0.006] * 30, False),
        ([1.0] * 30, False),
        ([0.0] * 9 + [0.5], False),  # what was usual before a pause says nothing
    ],
)
def test_a_call_waits_if_another_is_expected(gaps: list[float], waits: bool) -> None:
    assert after(gaps).waits(1) is waits


@given(st.lists(st.floats(0, 1), max_size=20))
def test_who_sends_one_call_after_another_never_waits(gaps: list[float]) -> None:
    assert not after(gaps).waits(0)


@given(st.lists(st.floats(0, 1), max_size=20), st.floats(0.0001, 0.05))
def test_nobody_waits_longer_than_the_window(gaps: list[float], window: float) -> None:
    arrivals = after(gaps, AUTO._replace(window=window))
    opened = 1.0 + sum(gaps)
    assert opened <= arrivals.due(opened) <= opened + window


def test_a_batch_goes_when_no_more_come() -> None:
    arrivals = after([0.0002] * 30)
    last = 1.0 + 0.0002 * 30
    assert arrivals.due(last) == pytest.approx(last + 0.001, abs=1e-9)
    assert arrivals.due(last - 0.0045) == pytest.approx(last + 0.0005, abs=1e-9)


def test_who_waited_in_vain_waits_more_rarely() -> None:
    arrivals = after([0.001] * 20)
    waited = []
    for _ in range(7):
        arrivals.waited(in_vain=True)
        waited.append(0)
        while not arrivals.waits(1):
            waited[-1] += 1
    assert waited == [1, 2, 4, 8, 16, 32, 64]
    arrivals.waited(in_vain=True)
    assert sum(not arrivals.waits(1) for _ in range(65)) == 64
    arrivals.waited(in_vain=False)
    assert arrivals.waits(1)


@pytest.mark.parametrize(
    ("load", "fits", "full"),
    [
        (Load(99, 999, 9999), True, False),
        (Load(100, 1, 1), True, True),
        (Load(101, 1, 1), False, True),
        (Load(1, 1000, 1), True, True),
        (Load(1, 1001, 1), False, True),
        (Load(1, 1, 10_000), True, True),
        (Load(1, 1, 10_001), False, True),
    ],
)
def test_bounds(load: Load, fits: bool, full: bool) -> None:
    assert (load.fits(FIXED), load.full(FIXED)) == (fits, full)


def test_a_load_that_leaves_takes_what_it_brought() -> None:
    one, other = Load(1, 2, 3), Load(10, 20, 30)
    assert one.plus(other) == Load(11, 22, 33)
    assert one.plus(other).minus(one) == other


def test_joint_calls_that_gain_nothing_pause() -> None:
    doubt = Doubt()
    for _ in range(2):
        doubt.gained_nothing(10.0)
        assert doubt.allows(10.0)
    pauses = []
    now = 10.0
    for _ in range(8):
        doubt.gained_nothing(now)
        assert not doubt.allows(now)
        pauses.append(next(s for s in (1, 2, 4, 8, 16, 32, 60) if doubt.allows(now + s)))
        now += pauses[-1]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    doubt.worked()
    doubt.gained_nothing(now)
    assert doubt.allows(now)
