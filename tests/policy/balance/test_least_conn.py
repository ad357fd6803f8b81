from __future__ import annotations

import pytest

from tests.policy.balance.fleet import Picker, balancer, fits, fleet


@pytest.mark.parametrize(
    ("weights", "in_flight", "expected"),
    [
        ((1, 1, 1), (2, 1, 3), {1}),
        ((1, 1, 1), (1, 1, 2), {0, 1}),
        ((1, 1), (0, 0), {0, 1}),
        ((1, 4), (1, 3), {1}),  # less than one a unit of weight
        ((1, 2), (1, 4), {0}),
        ((0.5, 1), (1, 2), {0, 1}),
        ((1,) * 8, (9, 8, 7, 6, 5, 4, 3, 4), {6}),  # all of a few are looked at
    ],
)
def test_table(weights: tuple[float, ...], in_flight: tuple[int, ...], expected: set[int]) -> None:
    members = fleet(weights)
    for member, calls in zip(members, in_flight, strict=True):
        member.in_flight = calls
    counts = Picker(balancer("least_conn", members)).counts(300)
    assert set(counts) == {members[index] for index in expected}


def test_among_equals_any() -> None:
    members = fleet([1.0] * 6)
    counts = Picker(balancer("least_conn", members)).counts(3000)
    assert fits([counts[member] for member in members], [1.0] * 6)


def test_the_lighter_of_two_idle_ones_gets_a_quarter() -> None:
    """P(u1 / 2 < u2) = 3/4 for two uniform random parts of a call."""
    members = fleet([2.0, 1.0])
    counts = Picker(balancer("least_conn", members)).counts(3000)
    assert fits([counts[member] for member in members], [3.0, 1.0])


@pytest.mark.parametrize("count", [9, 100])
def test_of_two_of_many_the_less_busy_one(count: int) -> None:
    """The busiest is taken only where both draws give it."""
    members = fleet([1.0] * count)
    for calls, member in enumerate(members):
        member.in_flight = calls
    counts = Picker(balancer("least_conn", members)).counts(5000)
    assert fits(
        [counts[member] for member in members],
        [2 * (count - rank) - 1 for rank in range(count)],
    )


def test_a_heavy_one_of_many_gets_its_share() -> None:
    """Drawn as seldom as the others it could have no more than one call in five."""
    members = fleet([90.0, *[1.0] * 9])
    picker = Picker(balancer("least_conn", members))
    for _ in range(1000):
        picker.pick().begin()
    assert 850 < members[0].in_flight < 950
