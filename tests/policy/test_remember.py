"""What is remembered, and for how long."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.remember import Remembered, Row


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


def test_forgotten() -> None:
    kept: Remembered[str] = Remembered(2)
    kept.add("a", 5)
    kept.forget("a")
    kept.forget("b")
    assert not kept.has("a", 0)


def test_a_row_counts_what_follows() -> None:
    row: Row[str] = Row(2)
    assert [row.add("a", now, now, now + 5) for now in (0, 1, 2)] == [1, 2, 3]
    assert row.add("a", 1, 3, 8) == 3  # it had begun before
    assert row.add("b", 3, 3, 8) == 1
    assert row.add("a", 8, 8, 13) == 1  # too late
    row.forget("a")
    assert row.add("a", 9, 9, 14) == 1


@given(st.lists(st.integers(0, 20)), st.integers(1, 5))
def test_a_row_never_holds_more_than_it_may(keys: list[int], most: int) -> None:
    row: Row[int] = Row(most)
    for key in keys:
        row.add(key, 0, 0, 1)
        assert len(row) <= most


@given(st.lists(st.integers(0, 20)), st.integers(1, 5))
def test_it_never_holds_more_than_it_may(keys: list[int], most: int) -> None:
    kept: Remembered[int] = Remembered(most)
    for key in keys:
        kept.add(key, 1)
        assert len(kept) <= most
        assert kept.has(key, 0)
