from __future__ import annotations

from collections import Counter

import pytest

from sidecar.policy.load import Load
from tests.policy.balance.fleet import Picker, balancer, fleet

WEIGHTS = [
    (5, 1, 1),
    (2, 1, 1),
    (1, 9),
    (3, 2, 1),
    (7, 3, 3, 1),
    (4, 4, 1),
    (1, 2) * 6,
    (100, 1, 1),
]


def turns(picker: Picker, count: int, avoid: tuple[Load, ...] = ()) -> list[str]:
    return [picker.pick(avoid=avoid).name[-1] for _ in range(count)]


def test_everybody_in_turn() -> None:
    picker = Picker(balancer("round_robin", fleet([2.0] * 3)))
    assert "".join(turns(picker, 6)) in "012012012"


@pytest.mark.parametrize("weights", [(1.0,) * 3, (1.0, 2.0, 5.0)])
def test_a_retry_goes_by_the_weights_and_moves_no_turn(weights: tuple[float, ...]) -> None:
    members = fleet(weights)
    made, undisturbed = (Picker(balancer("round_robin", members)) for _ in range(2))
    retried: Counter[Load] = Counter()
    for number in range(3000):
        first = made.balancer.pick(0, 0.0, lambda: 0.3)
        assert first is undisturbed.balancer.pick(0, 0.0, lambda: 0.3)
        avoid = members[number % 3]
        retried[made.pick(avoid=(avoid,))] += avoid is members[0]
    assert retried[members[0]] == 0
    share = weights[1] / (weights[1] + weights[2])
    assert abs(retried[members[1]] / 1000 - share) < 0.06


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("seed", range(5))
def test_turns_are_exactly_as_many_as_the_weights_say(weights: tuple[int, ...], seed: int) -> None:
    members = fleet([float(weight) for weight in weights])
    picker = Picker(balancer("round_robin", members), seed)
    counts = picker.counts(10 * sum(weights))
    for member in members:
        assert abs(counts[member] - 10 * member.weight) <= 1


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("seed", range(5))
def test_no_bursts(weights: tuple[int, ...], seed: int) -> None:
    """Within any stretch of picks each has its share, give or take less than two."""
    members = fleet([float(weight) for weight in weights])
    picker = Picker(balancer("round_robin", members), seed)
    picks = [picker.pick() for _ in range(4 * sum(weights))]
    for member in members:
        share = member.weight / sum(weights)
        for length in (2, 3, 5, 8, sum(weights)):
            stretches = range(len(picks) - length)
            seen = [picks[at : at + length].count(member) for at in stretches]
            assert max(seen) < share * length + 2
            assert min(seen) > share * length - 2


def test_where_weighted_turns_begin_is_random() -> None:
    members = fleet([1.0, 2.0, 1.0])
    first = [Picker(balancer("round_robin", members), seed).pick() for seed in range(1000)]
    counts = [first.count(member) for member in members]
    assert min(counts) > 150
    assert counts[1] > 330


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (1.0, 2.0, 1.0, 2.0)])
def test_turns_go_on_over_updates(weights: tuple[float, ...]) -> None:
    """An update before each pick changes nothing: flapping elsewhere must not favour the first."""
    members = fleet(weights)
    steady, disturbed = balancer("round_robin", members), balancer("round_robin", members)
    one, other = Picker(steady), Picker(disturbed)
    for _ in range(50):
        assert one.pick() is other.pick()
        disturbed.update(list(members), 0.0)


def test_whose_turn_it_was_stays_when_others_leave() -> None:
    members = fleet([1.0] * 5)
    made = balancer("round_robin", members)
    picker = Picker(made)
    while picker.pick() is not members[2]:
        pass
    made.update(members[1:], 0.0)
    assert turns(picker, 2) == ["3", "4"]
    made.update([members[1], members[2], members[4]], 0.0)
    assert turns(picker, 3) == ["1", "2", "4"]
    made.update([members[3], members[4]], 0.0)  # the next in turn, 1, has left; so has 2
    assert turns(picker, 3) == ["4", "3", "4"]


def test_two_updates_in_a_row() -> None:
    members = fleet([1.0] * 4)
    made = balancer("round_robin", members)
    picker = Picker(made)
    while picker.pick() is not members[0]:
        pass
    made.update(members[:2], 0.0)
    made.update(members, 0.0)
    assert turns(picker, 2) in (["1", "2"], ["1", "0"])


def test_a_member_that_comes_gets_no_more_than_its_share_at_once() -> None:
    members = fleet([1.0, 3.0, 1.0])
    made = balancer("round_robin", members[:2])
    picker = Picker(made)
    picker.counts(4000)
    made.update(members, 0.0)
    counts = picker.counts(50)
    assert abs(counts[members[2]] - 10) <= 1


def test_weights_become_equal_and_unequal_again() -> None:
    members = fleet([1.0, 3.0])
    made = balancer("round_robin", members)
    picker = Picker(made)
    for weight, expected in [(1.0, 50), (3.0, 75), (1.0, 50), (9.0, 90)]:
        members[1].weight = weight
        made.update(members, 0.0)
        assert abs(picker.counts(100)[members[1]] - expected) <= 1


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (1.0, 2.0, 4.0)])
def test_passing_over_one_costs_the_others_nothing(weights: tuple[float, ...]) -> None:
    members = fleet(weights)
    picker = Picker(balancer("round_robin", members))
    counts: Counter[Load] = Counter()
    for turn in range(700):
        counts[picker.pick(avoid=members[:1] if turn % 7 == 0 else ())] += 1
    for member in members[1:]:
        assert counts[member] >= 700 * member.weight / sum(weights) - 1


def test_the_ramp_ends_in_plain_turns() -> None:
    members = fleet([1.0] * 3)
    members[0].since = 50.0
    picker = Picker(balancer("round_robin", members, 50.0, slow_start=10.0))
    assert picker.counts(210, 51.0)[members[0]] in range(8, 13)  # a tenth of 2.1
    assert picker.counts(250, 55.0)[members[0]] in range(48, 53)
    assert picker.counts(300, 61.0)[members[0]] == 100
