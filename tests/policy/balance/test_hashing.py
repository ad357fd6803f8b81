from __future__ import annotations

from math import ceil, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.balance import BalanceSettings, stable_hash
from sidecar.policy.balance.hashing import Bound
from sidecar.policy.load import Load
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
        bound.measure(index, now)
        open_ = [member for member in members if bound.admits(member, now)]
        assert open_
        open_[index % len(open_)].begin()


def admitted(bound: Bound, members: list[Load], key: int, calls: int) -> int:
    """How many calls the first of *members* may have, while *calls* of all are in flight."""
    members[1].in_flight, members[0].in_flight = calls, 0
    bound.measure(key, 0.0)
    while members[1].in_flight and bound.admits(members[0], 0.0):
        members[0].in_flight += 1
        members[1].in_flight -= 1
    return members[0].in_flight


# Of 29 calls in flight, with the next one, 10 are the fair share of one of three.
@pytest.mark.parametrize(
    ("overload", "keys", "most"),
    [
        (1.0, 1, ceil(10 + sqrt(10))),  # one key makes all calls
        (1.25, 1, ceil(12.5 + sqrt(10))),
        (2.0, 1, ceil(20 + sqrt(10))),
        (1.25, 2, ceil(12.5 + sqrt(10))),  # two make half of them each, more than 1.25 thirds
        (1.25, 3, ceil(12.5 + 2 * (sqrt(10) + 10 / sqrt(3 / 3)))),
        (1.0, 12, ceil(10 + 2 * (sqrt(10) + 10 / sqrt(12 / 3)))),
        (1.25, 12, ceil(12.5 + 2 * (sqrt(10) + 10 / sqrt(12 / 3)))),
        (1.25, 300, ceil(12.5 + 2 * (sqrt(10) + 10 / sqrt(256 / 3)))),  # the last 256 are known
    ],
)
def test_a_member_may_have_its_share_more_and_chance(overload: float, keys: int, most: int) -> None:
    members = fleet([1.0] * 3)
    bound = Bound(BalanceSettings("", overload))
    bound.update(members, 0.0)
    for call in range(600):
        bound.measure(call % keys, 0.0)
    assert admitted(bound, members, 0, 29) == min(most, 29)


def test_a_hot_key_is_bounded_while_others_are_not() -> None:
    members = fleet([1.0] * 4)
    bound = Bound(BalanceSettings(""))
    bound.update(members, 0.0)
    for call in range(256):
        bound.measure(0 if call % 2 else call, 0.0)
    hot, other = admitted(bound, members, 0, 40), admitted(bound, members, 2, 40)
    assert hot == ceil(1.25 * 41 / 4 + sqrt(41 / 4))
    assert other > hot


def test_a_key_that_was_hot_is_not_for_ever() -> None:
    members = fleet([1.0] * 4)
    bound = Bound(BalanceSettings(""))
    bound.update(members, 0.0)
    for _ in range(100):
        bound.measure(0, 0.0)
    hot = admitted(bound, members, 0, 40)
    for key in range(1, 257):
        bound.measure(key, 0.0)
    assert admitted(bound, members, 0, 40) > hot
    assert len(bound._counts) == 256


@pytest.mark.parametrize("ramp", [0.1, 0.5])
def test_chance_lifts_no_member_in_slow_start(ramp: float) -> None:
    members = fleet([1.0] * 4)
    members[0].since = 100.0
    bound = Bound(BalanceSettings("", slow_start=100.0))
    bound.update(members, 100.0 + 100.0 * ramp)
    members[1].in_flight = 39
    for most in range(20):
        bound.measure(most, 100.0 + 100.0 * ramp)
        if not bound.admits(members[0], 100.0 + 100.0 * ramp):
            break
        members[0].in_flight += 1
        members[1].in_flight -= 1
    assert most == ceil(1.25 * 40 * ramp / (3 + ramp))


def test_calls_elsewhere_are_no_business_of_a_few() -> None:
    """Endpoints of the upstream that other labels choose."""
    members = fleet([1.0] * 4)
    for _ in range(100):
        members[3].begin()
    bound = Bound(BalanceSettings(""))
    bound.update(members[:2], 0.0)
    for _ in range(20):
        members[0].begin()
    for _ in range(20):
        bound.measure(1, 0.0)
    assert not bound.admits(members[0], 0.0)
