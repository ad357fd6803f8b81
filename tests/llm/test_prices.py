"""What tokens cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.prices import Price, cost, saved
from sidecar.llm.usage import Usage


@pytest.mark.parametrize(
    ("price", "usage", "expected"),
    [
        (Price(2.0, 8.0), Usage(1_000_000, output=500_000), 6.0),
        (Price(2.0, 8.0), Usage(1_000_000, cached=900_000, cache_write=50_000), 2.0),
        (Price(2.0, 8.0, cached=0.2), Usage(1_000_000, cached=500_000), 1.1),
        (
            Price(2.0, 8.0, cached=0.2, cache_write=2.5),
            Usage(1_000_000, cached=500_000, cache_write=400_000, output=1_000_000, reasoning=7),
            0.2 + 0.1 + 1.0 + 8.0,
        ),
        (Price(2.0, 8.0, cached=0.0), Usage(1_000_000, cached=1_000_000), 0.0),
        (Price(2.0, 8.0), Usage(), 0.0),
        (Price(2.0, 8.0, cached=1.0), Usage(10, cached=1_000_000), 1.0),  # a server that miscounts
    ],
)
def test_cost(price: Price, usage: Usage, expected: float) -> None:
    assert cost(price, usage) == pytest.approx(expected)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_cheaper_cache_is_never_dearer(plain: int, cached: int, output: int) -> None:
    usage = Usage(plain + cached, cached=cached, output=output)
    assert cost(Price(2.0, 8.0, cached=0.5), usage) <= cost(Price(2.0, 8.0), usage)


@pytest.mark.parametrize(
    ("price", "usage", "expected"),
    [
        (Price(2.0, 8.0, cached=0.5), Usage(1_000_000, cached=400_000), 0.6),
        (Price(2.0, 8.0), Usage(1_000_000, cached=400_000), 0.0),
        (Price(2.0, 8.0, cached=0.5), Usage(10, cached=1_000_000), 0.000015),  # it miscounts
    ],
)
def test_saved(price: Price, usage: Usage, expected: float) -> None:
    assert saved(price, usage) == pytest.approx(expected)
