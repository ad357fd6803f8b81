"""What holds for every method."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.load import Load
from tests.policy.balance.fleet import HASHING, METHODS, Picker, balancer, fits, fleet

each = pytest.mark.parametrize("method", METHODS)


def busy(members: list[Load], picker: Picker, calls: int, now: float) -> None:
    """Have *calls* calls in flight, each sent where a pick says."""
    for _ in range(calls):
        picker.pick(now).begin()


@each
@pytest.mark.parametrize("count", [1, 2, 8, 9, 30])
def test_equal_members_get_equal_shares(method: str, count: int) -> None:
    members = fleet([1.0] * count)
    picker = Picker(balancer(method, members))
    if method in HASHING:  # what a hash gives is not even; many keys are spread by the bound
        busy(members, picker, 50 * count, 0.0)
        assert max(member.in_flight for member in members) <= 1.25 * 50 + 2 * (7 + 50) + 1
        return
    counts = picker.counts(400 * count)
    assert count == 1 or fits([counts[member] for member in members], [1.0] * count)


@each
@pytest.mark.parametrize(
    "weights", [(1.0, 3.0), (5.0, 1.0, 1.0), (1.0, 2.0) * 10, (300.0, *[1.0] * 20)]
)
def test_calls_in_flight_go_by_the_weights(method: str, weights: tuple[float, ...]) -> None:
    members = fleet(weights)
    whole = sum(weights)
    calls = round(40 * whole / min(weights)) if whole < 100 else 3200
    busy(members, Picker(balancer(method, members)), calls, 0.0)
    for member in members:
        fair = calls * member.weight / whole
        chance = 2 * sqrt(fair) if method in HASHING else 0
        assert member.in_flight <= 1.25 * fair + chance + 2 + (fair < 15) * 8
        assert member.in_flight >= 0.6 * fair - chance - 4


@each
def test_where_it_begins_is_random(method: str) -> None:
    members = fleet([1.0] * 4)
    first = [Picker(balancer(method, members), seed).pick() for seed in range(400)]
    assert fits([first.count(member) for member in members], [1.0] * 4) or method in HASHING
    assert set(first) == set(members)


@each
@pytest.mark.parametrize("weights", [(1.0,) * 3, (1.0, 2.0, 7.0), (1.0,) * 12, (1.0, 5.0) * 6])
def test_what_was_tried_is_avoided(method: str, weights: tuple[float, ...]) -> None:
    members = fleet(weights)
    picker = Picker(balancer(method, members))
    for left in range(len(members)):
        avoid = members[left + 1 :]
        counts = picker.counts(40, avoid=avoid)
        assert counts.keys() <= set(members[: left + 1])
    both = picker.counts(400, avoid=members[2:])
    assert len(both) == 2 or method == "dynamic"  # an idle heavy one costs least
    assert len(picker.counts(400, avoid=members)) > 0  # nobody else is left


@each
def test_what_was_tried_is_avoided_where_the_others_are_full(method: str) -> None:
    members = fleet([1.0] * 12)
    for member in members[1:]:
        for _ in range(100):
            member.begin()
    picker = Picker(balancer(method, members))
    assert members[0] not in picker.counts(50, avoid=members[:1])


@each
@pytest.mark.parametrize("count", [3, 20])
def test_a_new_member_begins_slowly(method: str, count: int) -> None:
    """Its part of the calls in flight at a tenth, a half, and all of its time."""
    members = fleet([1.0] * count)
    members[0].since = 100.0
    made = balancer(method, members, 100.0, slow_start=60.0)
    had = []
    for now in (100.0, 130.0, 160.0, 160.2):
        picker = Picker(made)
        for _ in range(50 * count):
            picker.pick(now).begin()
        had.append(members[0].in_flight / 50)
        for member in members:
            while member.in_flight:
                member.end()
    assert had[0] < 0.25
    assert 0.3 < had[1] < 0.8
    assert had[3] > 0.75
    assert had[0] < had[1] < had[3]


@each
def test_an_idle_new_member_gets_something(method: str) -> None:
    members = fleet([1.0] * 3)
    members[0].since = 100.0
    if method == "dynamic":  # it goes by the latency: the fastest, while it is idle
        return
    counts = Picker(balancer(method, members, 100.0, slow_start=60.0)).counts(600, 115.0)
    assert counts[members[0]] > 20


@each
@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (1.0, 2.0) * 8])
def test_the_same_history_gives_the_same_picks(method: str, weights: tuple[float, ...]) -> None:
    def history() -> list[str]:
        members = fleet(weights)
        picker = Picker(balancer(method, members))
        names = []
        for turn in range(300):
            member = picker.pick(turn / 10)
            names.append(member.name)
            member.begin()
            if turn % 3:
                member.observe(turn % 7 / 10, turn % 5 == 0, turn / 10, 10.0)
                member.end()
        return names

    assert history() == history()


@each
def test_members_come_and_go(method: str) -> None:
    members = fleet([1.0, 2.0, 1.0, 4.0, 1.0] * 4)
    made = balancer(method, members[:3])
    picker = Picker(made)
    for chosen in (members[:3], members[2:], members[:1], members, members[5:7]):
        made.update(chosen, 0.0)
        assert picker.counts(500).keys() <= set(chosen)


@each
def test_weights_that_change(method: str) -> None:
    members = fleet([1.0, 1.0])
    made = balancer(method, members)
    picker = Picker(made)
    picker.counts(7)
    members[0].weight = 4.0
    made.update(members, 0.0)
    busy(members, picker, 500, 0.0)
    assert 370 <= members[0].in_flight <= 480


@each
@pytest.mark.parametrize("weights", [(1.0,) * 1000, (1.0, 2.0) * 500])
def test_a_thousand_members(method: str, weights: tuple[float, ...]) -> None:
    members = fleet(weights)
    picker = Picker(balancer(method, members))
    busy(members, picker, 4 * len(members), 0.0)
    assert max(member.in_flight / member.weight for member in members) <= 14
    assert sum(member.in_flight > 0 for member in members) > 800


WEIGHTS = st.sampled_from([0.5, 1.0, 2.0, 3.0, 1000.0])


@given(
    st.sampled_from(METHODS),
    st.lists(WEIGHTS, min_size=1, max_size=12),
    st.data(),
)
def test_any_history(method: str, weights: list[float], data: st.DataObject) -> None:
    """Members come and go, are tried, busy, slow or new: a pick is always one of them."""
    members = fleet(weights)
    made = balancer(method, members, slow_start=5.0)
    roll: Callable[[], float] = random.Random(data.draw(st.integers(0, 99))).random
    now, chosen = 0.0, members
    for _ in range(data.draw(st.integers(1, 12))):
        now += data.draw(st.sampled_from([0.0, 0.05, 3.0, 1000.0]))
        if data.draw(st.booleans()):
            chosen = data.draw(
                st.lists(st.sampled_from(members), min_size=1, unique_by=lambda load: load.name)
            )
            made.update(chosen, now)
        avoid = data.draw(st.lists(st.sampled_from(members), max_size=4))
        picked = made.pick(data.draw(st.integers(0, 2**64 - 1)), now, roll, avoid)
        assert picked in chosen
        assert picked not in avoid or set(chosen) <= set(avoid)
        picked.begin()
        if data.draw(st.booleans()):
            picked.observe(data.draw(st.floats(0, 100)), data.draw(st.booleans()), now, 10.0)
