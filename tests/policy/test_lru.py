"""Bounded in bytes, whatever comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.lru import Lru

STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "get", "drop"]), st.integers(0, 9), st.integers(0, 60)),
    max_size=60,
)


@given(STEPS, st.integers(1, 100))
def test_it_holds_what_was_used_last(steps: list[tuple[str, int, int]], most: int) -> None:
    lru: Lru[int, str] = Lru(most)
    order: list[tuple[int, int]] = []  # the plain way
    evicted = 0
    for what, key, size in steps:
        known = dict(order)
        if what == "get":
            assert lru.get(key) == (str(known[key]) if key in known else None)
            if key in known:
                order = [pair for pair in order if pair[0] != key] + [(key, known[key])]
        elif what == "drop":
            assert lru.drop(key) is (key in known)
            order = [pair for pair in order if pair[0] != key]
        else:
            order = [pair for pair in order if pair[0] != key]
            assert lru.put(key, str(size), size) is (size <= most)
            if size <= most:
                order.append((key, size))
            while sum(each for _, each in order) > most:
                order.pop(0)
                evicted += 1
        assert lru.size == sum(each for _, each in order) <= most
        assert len(lru) == len(order)
        assert lru.evicted == evicted


def test_what_meets_a_condition_goes() -> None:
    lru: Lru[int, int] = Lru(100)
    for key in range(10):
        lru.put(key, key, 10)
    assert lru.drop_if(lambda value: value % 2 == 0) == 5
    assert [key for key in range(10) if lru.get(key) is not None] == [1, 3, 5, 7, 9]
    assert lru.size == 50


def test_with_less_room_the_oldest_go() -> None:
    lru: Lru[int, int] = Lru(100)
    for key in range(10):
        lru.put(key, key, 10)
    lru.resize(35)
    assert [key for key in range(10) if lru.get(key) is not None] == [7, 8, 9]
