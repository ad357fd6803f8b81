from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.balance import BalanceSettings, stable_hash
from sidecar.policy.balance.hashing import Bound
from tests.policy.balance.fleet import fits, fleet


@pytest.mark.parametrize(
    ("data", "expected"), [(b"", 0xE4A6A0577479B2B4), (b"10.0.0.1", 0x538EF646E14D03E6)]
)
def test_a_hash_is_the_same_everywhere(data: bytes, expected: int) -> None:
    """BLAKE2b with an output of 8 bytes (RFC 7693)."""
    assert stable_hash(data) == expected


def test_hashes_of_names_that_differ_little_lie_evenly() -> None:
    counts = [0] * 16
    for number in range(16_000):
        counts[stable_hash(b"10.0.%d.%d" % (number // 250, number % 250)) >> 60] += 1
    assert fits(counts, [1.0] * 16)


WEIGHTS = st.lists(st.sampled_from([0.5, 1.0, 3.0, 100.0]), min_size=1, max_size=12)


@given(WEIGHTS, st.integers(0, 300), st.sampled_from([1.0, 1.25, 10.0]), st.floats(0, 99))
def test_somebody_always_has_room(
    weights: list[float], calls: int, overload: float, now: float
) -> None:
    """However the calls lie, and whoever is in slow start."""
    members = fleet(weights)
    for index, member in enumerate(members):
        member.since = index * 5.0
    bound = Bound(BalanceSettings("", overload, slow_start=50.0))
    bound.update(members, now)
    for index in range(calls):
        bound.measure(now)
        open_ = [member for member in members if bound.admits(member, now)]
        assert open_
        open_[index % len(open_)].begin()


@pytest.mark.parametrize(
    ("overload", "calls", "most"), [(1.0, 29, 10), (1.25, 29, 13), (2.0, 29, 20)]
)
@pytest.mark.parametrize("count", [3, 30])
def test_a_member_may_have_so_much_more_than_its_share(
    overload: float, calls: int, most: int, count: int
) -> None:
    members = fleet([1.0] * count)
    bound = Bound(BalanceSettings("", overload))
    bound.update(members, 0.0)
    for _ in range(calls * count // 3):
        members[1].begin()
    assert most == ceil(overload * (calls + 1) / 3)
    bound.measure(0.0)
    for _ in range(most if count == 3 else 0):
        assert bound.admits(members[0], 0.0)
        members[0].in_flight += 1
    assert count != 3 or not bound.admits(members[0], 0.0)
    assert not bound.admits(members[1], 0.0)


def test_calls_elsewhere_are_no_business_of_a_few() -> None:
    """Endpoints of the upstream that other labels choose."""
    members = fleet([1.0] * 4)
    for _ in range(100):
        members[3].begin()
    bound = Bound(BalanceSettings(""))
    bound.update(members[:2], 0.0)
    for _ in range(2):
        members[0].begin()
    bound.measure(0.0)
    assert not bound.admits(members[0], 0.0)
