"""Sidecars that find a pace together, with a provider that tells nothing but its refusals."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial

import pytest

from bench.quota import Deaf, Fleet, Result, Side
from sidecar.policy.pace import Pace
from sidecar.policy.shared_pace import TRUSTED, Report, Share, SharedPace
from tests.policy.pace_model import Paces

ROUND = 0.5
"""Seconds between two rounds of a sidecar with the store."""


class Waited(Pace):
    """A pace whose calls wait in the simulation's own line."""

    line: Sequence[object] = ()

    @property
    def waiting(self) -> int:
        return len(self.line)


class Telling(Deaf):
    """A sidecar of a fleet whose members tell each other of refusals."""

    def __init__(self, store: Paces, number: int) -> None:
        self.pace: Waited = Waited()
        self.shared = SharedPace(self.pace, lambda: None)
        self.store = store
        self.name = str(number)

    def refused(self, after: float, now: float) -> None:
        super().refused(after, now)
        self.shared.refused(after, too_fast=False, now=now)
        self.round(now)

    def round(self, now: float) -> None:
        report = self.shared.report(now)
        if report is not None:
            self.shared.answered(self.store.take(self.name, report, now), now)


def rounds(fleet: Fleet, side: Side, now: float) -> None:
    """A round of *side* with the store, and those after it."""
    assert isinstance(side.client, Telling)
    side.client.pace.line = side.line
    side.client.round(now)
    fleet.go(side, now)
    fleet.at(now + ROUND, partial(rounds, fleet, side))


def simulate(seed: int, sides: int, requests: float, phases: int = 4) -> Result:
    store, number = Paces(0.0), itertools.count()
    fleet = Fleet(seed, lambda: Telling(store, next(number)), sides, {"requests": requests}, 1.0)
    for side in fleet.sides:
        fleet.at(fleet.chance.random() * ROUND, partial(rounds, fleet, side))
    return fleet.run(phases)


@pytest.mark.parametrize(("sides", "requests"), [(50, 600.0), (5, 120.0)])
def test_a_quota_is_used_shared_and_rarely_refused(sides: int, requests: float) -> None:
    result = simulate(1, sides, requests)
    assert result.share > 0.95
    assert result.refused < 0.005
    assert result.fairness > 0.95


def shared() -> tuple[SharedPace, list[None]]:
    told: list[None] = []
    return SharedPace(Pace(), lambda: told.append(None)), told


def test_a_refusal_is_told_at_once_and_counts_once() -> None:
    one, told = shared()
    assert one.report(0.0) is None
    one.refused(7.0, too_fast=True, now=1.0)
    assert told == [None]
    first = one.report(2.0)
    again = one.report(3.0)  # the first was not answered
    assert first is not None
    assert again is not None
    assert (first.number, first.refused, first.stop) == (1, 2, 6.0)
    assert (again.number, again.refused, again.stop) == (1, 2, 5.0)
    store = Paces(0.0, rate=10.0)
    for report in (first, again):
        store.take("m", report, 2.0)
    assert store.rate == 9.0
    assert store.refusals == 1


def test_what_the_store_says_holds_for_a_while() -> None:
    one, _ = shared()
    one.answered(Share(2.0, 8.0, 4.0), 100.0)
    assert one.pace.rates() == {"requests": 2.0}
    assert one.pace.wait(101.0) == 3.0
    one.pace.refused(1.0, too_fast=False, now=102.0)
    assert one.pace.rates() == {"requests": 2.0}  # the store takes it
    one.pace.refused(1.0, too_fast=False, now=110.0 + TRUSTED)
    assert one.pace.rates()["requests"] < 2.0  # it has not answered since


def test_a_store_that_has_forgotten_the_pace_is_told_it() -> None:
    one, _ = shared()
    one.refused(1.0, too_fast=False, now=0.0)
    report = one.report(0.0)
    assert report is not None
    store = Paces(0.0, rate=10.0)
    one.answered(store.take("m", report, 0.0), 0.0)
    one.lost()
    for _ in range(10):
        one.pace.enter({}, 1.0)
    store = Paces(1.0)
    report = one.report(1.0)
    assert report is not None
    assert report.known == 9.0
    one.answered(store.take("m", report, 1.0), 1.0)
    assert store.rate == 9.0
    after = one.report(1.0)
    assert after is not None
    assert after.known == 0.0
    one.answered(store.take("m", after, 1.0), 1.0)
    assert not one.urgent


def test_the_least_demand_is_met_first() -> None:
    store = Paces(0.0, rate=10.0, members={"a": (1, 1.0, 1.0, 9.0), "b": (1, 3.0, 20.0, 9.0)})
    (_, level) = (store.take("c", Report(1, 3.0, 30.0, 0, 0.0, 0.0), 0.0), store._level())
    assert level == 4.5
    store.members = {"a": (1, 1.0, 1.0, 9.0), "b": (1, 2.0, 2.0, 9.0)}
    assert store._level() == 9.0  # nobody is held back below what is left
