from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sidecar.policy.rate import Concurrency, Keyed, Rate

RATES = st.sampled_from([0.1, 1.0, 7.0, 1000.0])
BURSTS = st.integers(1, 20)
STEPS = st.lists(st.one_of(st.just(0.0), st.floats(0, 2), st.floats(0, 0.01)), max_size=200)


def test_a_burst_and_then_one_at_a_time() -> None:
    rate = Rate(2, 3)
    assert [rate.take(10) for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    assert rate.take(10.25) == 0.25
    assert rate.take(10.5) == 0
    assert rate.take(10.5) == 0.5
    assert [rate.take(100) for _ in range(4)] == [0, 0, 0, 0.5]


@given(RATES, BURSTS, STEPS)
def test_no_interval_has_more_than_the_burst_and_the_rate(
    per_second: float, burst: int, steps: list[float]
) -> None:
    rate = Rate(per_second, burst)
    now = 5.0
    taken = []
    for step in steps:
        now += step
        if not rate.take(now):
            taken.append(now)
    for first, start in enumerate(taken):
        for last in range(first, len(taken)):
            most = burst + per_second * (taken[last] - start)
            assert last - first + 1 <= most + 1e-6


@given(RATES, BURSTS, STEPS)
def test_who_waits_as_told_is_served_and_not_before(
    per_second: float, burst: int, steps: list[float]
) -> None:
    rate = Rate(per_second, burst)
    now = 5.0
    for step in steps:
        now += step
        wait = rate.take(now)
        if wait:
            assert rate.take(now + wait * 0.99) > 0
            now += wait
            assert rate.take(now) == 0


def test_other_numbers_keep_what_was_used() -> None:
    rate = Rate(1, 10)
    assert [rate.take(0) for _ in range(10)] == [0] * 10
    rate.adjust(100, 10)
    assert rate.take(0) == 0.01
    assert rate.take(0.01) == 0
    rate.adjust(1, 12)
    assert [rate.take(0.01) for _ in range(3)] == [0, 0, 1]
    rate.adjust(1, 1)
    assert rate.take(0.01) == 1


def test_idle_when_all_that_was_used_has_come_back() -> None:
    rate = Rate(2, 3)
    assert rate.idle(0)
    rate.take(10)
    assert not rate.idle(10.4)
    assert rate.idle(10.5)


def test_at_most_so_many_at_once() -> None:
    limit = Concurrency(2)
    assert [limit.enter() for _ in range(3)] == [True, True, False]
    limit.release()
    assert limit.enter()
    limit.max = 1
    limit.release()
    assert not limit.enter()
    assert not limit.idle(0)
    limit.release()
    assert limit.idle(0)
    assert limit.enter()


def test_the_least_recently_used_goes() -> None:
    keyed = Keyed(lambda: Concurrency(1), 2)
    a, b = keyed.get("a", 0), keyed.get("b", 0)
    assert keyed.get("a", 0) is a
    keyed.get("c", 0)
    assert len(keyed) == 2
    assert keyed.get("a", 0) is a
    assert keyed.get("b", 0) is not b


def test_who_is_busy_stays() -> None:
    keyed = Keyed(lambda: Concurrency(1), 2)
    a, b = keyed.get("a", 0), keyed.get("b", 0)
    a.enter()
    keyed.get("c", 0)
    assert keyed.get("a", 0) is a
    assert keyed.get("b", 0) is not b


def test_when_all_are_busy_the_least_recently_used_goes() -> None:
    keyed = Keyed(lambda: Rate(1, 1), 2)
    a, b = keyed.get("a", 0), keyed.get("b", 0)
    a.take(0)
    b.take(0)
    keyed.get("c", 0.5)
    assert keyed.get("b", 0.5) is b
    assert keyed.get("a", 0.5) is not a


def test_limits_are_reloaded_without_forgetting() -> None:
    keyed = Keyed(lambda: Rate(1, 1), 3)
    for key in "abc":
        keyed.get(key, 0).take(0)
    keyed.make = lambda: Rate(1, 2)
    keyed.max_keys = 2
    for limiter in keyed.limiters():
        limiter.adjust(1, 2)
    assert [keyed.get("c", 0).take(0) for _ in range(2)] == [0, 1]
    assert [keyed.get("d", 0).take(0) for _ in range(3)] == [0, 0, 1]
    assert len(keyed) == 2


class Clients(RuleBasedStateMachine):
    """Calls of few clients against a plain dict that forgets nobody."""

    @initialize(size=st.integers(1, 4))
    def begin(self, size: int) -> None:
        self.keyed = Keyed(lambda: Concurrency(2), size)
        self.calls: list[tuple[int, Concurrency]] = []

    @rule(key=st.integers(0, 6))
    def enter(self, key: int) -> None:
        """A client that fits beside those with calls in flight has its true count."""
        busy = {known for known, _ in self.calls}
        limit = self.keyed.get(key, 0)
        if len(busy | {key}) <= self.keyed.max_keys:
            assert limit.in_flight == sum(known == key for known, _ in self.calls)
            if limit.enter():
                self.calls.append((key, limit))
        else:
            assert len(busy) == self.keyed.max_keys
            self.begin(self.keyed.max_keys)  # one had to be forgotten, so the model is no model

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        if self.calls:
            call = data.draw(st.sampled_from(self.calls))
            self.calls.remove(call)
            call[1].release()

    @invariant()
    def bounded(self) -> None:
        assert len(self.keyed) <= self.keyed.max_keys


TestClients = Clients.TestCase


@pytest.mark.parametrize("busy", [0, 1, 50, 99])
def test_busy_ones_are_passed_over_once(busy: int) -> None:
    """Each is looked at when it stands in the way, not for every new key."""
    looks = 0

    class Counting(Concurrency):
        def idle(self, now: float) -> bool:
            nonlocal looks
            looks += 1
            return super().idle(now)

    keyed = Keyed(lambda: Counting(1), 100)
    for key in range(100):
        limit = keyed.get(key, 0)
        if key < busy:
            limit.enter()
    for key in range(100, 100 + 10 * (100 - busy)):
        keyed.get(key, 0)
    assert looks <= 10 * 100
