"""What is remembered, and for how long."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.remember import Remembered


def test_until_its_time_is_over() -> None:
    kept: Remembered[str] = Remembered(10)
    assert not kept.has("a", 0)
    kept.add("a", 5)
    assert kept.has("a", 4.9)
    assert not kept.has("a", 5)
    assert len(kept) == 0


def test_again_lasts_longer() -> None:
    kept: Remembered[str] = Remembered(2)
    kept.add("a", 5)
    kept.add("b", 5)
    kept.add("a", 9)
    kept.add("c", 9)
    assert [kept.has(key, 6) for key in "abc"] == [True, False, True]


@given(st.lists(st.integers(0, 20)), st.integers(1, 5))
def test_it_never_holds_more_than_it_may(keys: list[int], most: int) -> None:
    kept: Remembered[int] = Remembered(most)
    for key in keys:
        kept.add(key, 1)
        assert len(kept) <= most
        assert kept.has(key, 0)
