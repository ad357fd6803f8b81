from __future__ import annotations

import pytest

from sidecar.policy.fixed_window import FixedWindow


def spread(window: FixedWindow, seconds: float, surplus: float = 0.0, begin: float = 0.0) -> float:
    """Replies tell of an even spread, and of a *surplus*. Return the last level."""
    level, now = 0.0, begin
    while now < begin + seconds:
        left = 60 - now % 60
        fill = min(1.0, max(0.0, left / 60 + surplus))
        level = window.level(fill, left, now)
        now += 1.0
    return level


def refills(window: FixedWindow, fill: float, seconds: float, begin: float = 0.0) -> float:
    """Replies tell of a bucket that refills continuously. Return the last level."""
    return [window.level(fill, (1 - fill) * 60, begin + second) for second in range(int(seconds))][
        -1
    ]


@pytest.mark.parametrize("fill", [0.0, 0.3, 0.5, 1.0])
def test_a_bucket_that_refills_continuously_is_paced_by_its_level(fill: float) -> None:
    window = FixedWindow()
    assert refills(window, fill, 100) == fill
    assert not window.found


def test_a_window_is_found_as_soon_as_a_time_is_too_long_for_a_bucket() -> None:
    window = FixedWindow()
    window.level(1.0, 8.0, 0.0)
    assert not window.found
    window.level(0.9, 59.0, 1.0)
    assert window.found


def test_a_time_that_is_not_of_a_minute_makes_no_window() -> None:
    window = FixedWindow()
    assert window.level(0.9, 400.0, 1.0) == 0.9
    assert not window.found


def test_an_even_spread_keeps_its_level_over_the_window_and_its_end() -> None:
    window = FixedWindow()
    levels = [spread(window, 10, begin=10.0 * number) for number in range(30)]
    assert window.found
    assert levels == pytest.approx([0.5] * 30)


@pytest.mark.parametrize(("surplus", "faster"), [(0.05, True), (-0.05, False)])
def test_what_is_left_over_speeds_up_the_calls_and_what_is_lacking_slows_them_down(
    surplus: float, faster: bool
) -> None:
    window = FixedWindow()
    spread(window, 120)
    after = [spread(window, 20, surplus, 120.0 + 20 * number) for number in range(2)]
    assert [level > 0.5 for level in after] == [faster, faster]
    assert (after[1] > after[0]) == faster  # the longer, the more


def test_what_is_left_over_may_go_in_the_rest_of_the_window_but_not_all_at_once() -> None:
    window = FixedWindow()
    spread(window, 120)
    speeds = []
    for left, fill in ((30.0, 0.5), (30.0, 0.75), (10.0, 0.9)):
        window.level(fill, left, 150.0)
        speeds.append(window.speed)
    assert speeds == pytest.approx([1.0, 1.5, 2.0])


def test_one_that_refills_continuously_after_all_is_found_out() -> None:
    window = FixedWindow()
    spread(window, 60)
    assert window.found
    refills(window, 0.5, 30, 60.0)
    assert not window.found


def test_half_of_a_window_does_not_look_like_another_bucket() -> None:
    window = FixedWindow()
    spread(window, 600)
    assert window.found
