"""Shares of a number: their sum is exact."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.batch import shares


@pytest.mark.parametrize(
    ("total", "weights", "found"),
    [
        (10, [1, 1], [5, 5]),
        (10, [3, 7], [3, 7]),
        (10, [1, 1, 1], [4, 3, 3]),
        (1, [1, 2], [0, 1]),
        (7, [0, 0], [4, 3]),
        (0, [1, 2], [0, 0]),
        (5, [0, 1], [0, 5]),
    ],
)
def test_shares(total: int, weights: list[int], found: list[int]) -> None:
    assert shares(total, weights) == found


@given(st.integers(0, 2**53), st.lists(st.integers(0, 10**6), min_size=1, max_size=50))
def test_the_sum_is_exact_and_each_is_fair(total: int, weights: list[int]) -> None:
    found = shares(total, weights)
    assert sum(found) == total
    whole = sum(weights)
    if whole:
        for share, weight in zip(found, weights, strict=True):
            assert abs(share * whole - total * weight) < whole  # off by less than one
