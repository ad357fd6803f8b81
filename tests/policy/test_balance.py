from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.balance import RoundRobin


def test_every_endpoint_in_turn() -> None:
    turn = RoundRobin()
    assert [turn.pick(3) for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]


@given(st.integers(1, 20), st.integers(1, 20))
def test_none_gets_more_than_its_share(count: int, rounds: int) -> None:
    turn = RoundRobin()
    picks = Counter(turn.pick(count) for _ in range(count * rounds))
    assert set(picks.values()) == {rounds}


@given(st.lists(st.integers(1, 5)))
def test_endpoints_may_come_and_go(counts: list[int]) -> None:
    turn = RoundRobin()
    assert all(0 <= turn.pick(count) < count for count in counts)
