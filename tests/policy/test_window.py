from collections import deque
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.window import Window


class Result(NamedTuple):
    time: float
    failed: bool
    slow: bool


class Model:
    """A deque of all that is in, counted anew each time."""

    def __init__(self) -> None:
        self.results: deque[Result] = deque()

    def trim(self, now: float, limit: int, span: float) -> None:
        while len(self.results) > limit or (self.results and now - self.results[0].time > span):
            self.results.popleft()

    def fail_latest(self) -> bool:
        for index in reversed(range(len(self.results))):
            if not self.results[index].failed:
                self.results[index] = self.results[index]._replace(failed=True)
                return True
        return False


def same(window: Window, model: Model) -> bool:
    return (len(window), window.failures, window.slow) == (
        len(model.results),
        sum(result.failed for result in model.results),
        sum(result.slow for result in model.results),
    )


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add"] * 6 + ["trim", "fail_latest", "clear"]),
        st.sampled_from([0.0, 0.0, 0.25, 0.25, 1.0, 3.0]),  # seconds since the last step
        st.booleans(),
        st.booleans(),
    ),
    max_size=300,
)
BOUNDS = st.lists(
    st.tuples(st.integers(1, 60), st.sampled_from([0.25, 1.0, 5.0, 60.0])), min_size=1, max_size=4
)


@given(STEPS, BOUNDS)
def test_as_a_plain_deque(
    steps: list[tuple[str, float, bool, bool]], bounds: list[tuple[int, float]]
) -> None:
    window, model, now = Window(), Model(), 100.0
    for index, (step, gap, failed, slow) in enumerate(steps):
        limit, span = bounds[index * len(bounds) // len(steps)]  # replaced as time goes
        now += gap
        if step == "add":
            held = window.add(now, failed, slow, limit, span)
            model.results.append(Result(now, failed, slow))
            model.trim(now, limit, span)
            assert held == len(window)
        elif step == "trim":
            held = window.trim(now, limit, span)
            model.trim(now, limit, span)
            assert held == len(window)
        elif step == "fail_latest":
            assert window.fail_latest() == model.fail_latest()
        else:
            window.clear()
            model.results.clear()
        assert same(window, model)


@pytest.mark.parametrize(
    ("now", "held"),
    [(13.0, 3), (15.0, 3), (15.001, 2), (17.0, 2), (17.5, 1), (18.0, 1), (18.001, 0)],
)
def test_a_result_goes_when_it_is_older_than_the_span(now: float, held: int) -> None:
    window = Window()
    for time in (10.0, 12.0, 13.0):
        window.add(time, True, False, 100, 60.0)
    assert window.trim(now, 100, 5.0) == window.failures == held


def test_the_last_of_them_count() -> None:
    window = Window()
    for index in range(10):
        window.add(float(index), index < 7, index == 9, 4, 60.0)
    assert (len(window), window.failures, window.slow) == (4, 1, 1)


def test_a_smaller_limit_lets_go_at_once() -> None:
    window = Window()
    for index in range(50):
        window.add(float(index), index % 2 == 0, False, 50, 600.0)
    assert window.trim(49.0, 5, 600.0) == 5
    assert window.failures == 2


@pytest.mark.parametrize("limit", [1, 10, 100])
def test_it_stays_small_however_many_come(limit: int) -> None:
    window = Window()
    most = 0
    for index in range(5000):
        window.add(float(index), True, True, limit, 1e9)
        most = max(most, len(window._times), len(window._verdicts))
    assert most <= 2 * limit + 34
