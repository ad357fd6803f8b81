import math

from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.quantile import Quantile

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=700)


def of(values: list[float]) -> Quantile:
    quantile = Quantile()
    for value in values:
        quantile.observe(value)
    return quantile


def test_nothing_before_enough_were_seen() -> None:
    assert Quantile().value(0.5, 0) is None
    assert of([1.0] * 19).value(0.5, 20) is None
    assert of([1.0] * 20).value(0.5, 20) == 1
    assert of([1.0] * 1000).value(0.5, 1000) == 1


def test_nearest_rank() -> None:
    hundred = of([float(value) for value in range(100, 0, -1)])
    shares = [0.0, 0.01, 0.5, 0.95, 0.99, 1.0]
    assert [hundred.value(share, 1) for share in shares] == [1, 1, 50, 95, 99, 100]


def test_old_values_are_forgotten() -> None:
    quantile = of([100.0] * 1000)
    assert quantile.value(0.5, 1) == 100
    for _ in range(256):
        quantile.observe(1.0)
    assert quantile.value(1.0, 1) == 1


@given(VALUES, st.floats(0, 1))
def test_as_in_the_sorted_list_of_the_last(values: list[float], share: float) -> None:
    last = sorted(values[-256:])
    assert of(values).value(share, 1) == last[max(0, math.ceil(share * len(last)) - 1)]


def test_asked_after_every_value_it_is_at_most_an_eighth_behind() -> None:
    quantile = Quantile()
    for count in range(1, 1000):
        quantile.observe(float(count))
        newest = quantile.value(1.0, 1)
        assert newest is not None
        assert 0 <= count - newest < max(1, min(count, 256) / 8)
