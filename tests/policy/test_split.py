from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sidecar.policy.split import choose

POINTS = [point / 1000 for point in range(1000)]


@pytest.mark.parametrize(
    ("shares", "counts"),
    [
        ([], {0: 1000}),
        ([0.0], {0: 1000}),
        ([0.1], {0: 900, 1: 100}),
        ([1.0], {1: 1000}),
        ([0.25, 0.5], {0: 250, 1: 250, 2: 500}),
        ([0.25, 0.0, 0.5], {0: 250, 1: 250, 3: 500}),
        ([0.125, 0.125, 0.25, 0.5], {1: 125, 2: 125, 3: 250, 4: 500}),
    ],
)
def test_each_gets_its_share(shares: list[float], counts: dict[int, int]) -> None:
    assert Counter(choose(shares, point) for point in POINTS) == counts


THOUSANDTHS = st.integers(0, 1000)


@given(st.tuples(THOUSANDTHS, THOUSANDTHS, THOUSANDTHS).map(sorted), st.booleans())
def test_raising_a_share_moves_calls_into_it_only(bounds: list[int], first: bool) -> None:
    small, large = bounds[0], bounds[1]
    other = 1000 - bounds[2]

    def shares(share: int) -> list[float]:
        pair = [share / 1000, other / 1000]
        return pair if first else pair[::-1]

    raised = 1 if first else 2
    for bound in POINTS:
        point = bound + 0.0005  # where no rounding decides
        before, after = choose(shares(small), point), choose(shares(large), point)
        assert after in (before, raised)
        assert before in (after, 0)


@given(st.lists(THOUSANDTHS, min_size=3, max_size=6))
def test_shares_hold_for_any_number(parts: list[int]) -> None:
    assume(sum(parts) <= 1000)
    counts = Counter(choose([part / 1000 for part in parts], point + 0.0005) for point in POINTS)
    assert [counts[index] for index in range(1, len(parts) + 1)] == parts
