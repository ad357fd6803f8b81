"""Any history of a breaker, against a model that is plain lists."""

from math import inf
from typing import NamedTuple

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sidecar.policy.breaker import Breaker, Permit
from sidecar.policy.breaker_settings import BreakerSettings


class Result(NamedTuple):
    time: float
    failed: bool
    slow: bool


class Model:
    """What the docstring says, with lists."""

    def __init__(self, settings: BreakerSettings) -> None:
        self.settings = settings
        self.status = "closed"
        self.forced: str | None = None
        self.era = 0  # changes with the state: a permit of an earlier one is void
        self.results: list[Result] = []
        self.running: list[float] = []
        self.trials: list[bool] = []  # of each that succeeded: whether it was slow
        self.failed_openings = 0
        self.opened_at = 0.0
        self.until = 0.0

    def prune(self, now: float) -> None:
        young = [result for result in self.results if now - result.time <= self.settings.window]
        self.results = young[-self.settings.window_calls :]

    def go(self, status: str, now: float) -> None:
        if status == "open":
            if self.status == "closed":
                self.opened_at = now
            length = min(self.settings.open_max, self.settings.open * 2**self.failed_openings)
            self.failed_openings += 1
            self.until = inf if self.forced else now + length
        if status == "closed":
            self.failed_openings = 0
            self.results = []
            self.until = 0.0
        self.status = status
        self.era += 1
        self.running = []
        self.trials = []

    def slow(self, seconds: float) -> bool:
        return self.settings.slow_after is not None and seconds > self.settings.slow_after

    def judge(self, now: float) -> None:
        self.prune(now)
        settings, calls = self.settings, len(self.results)
        if self.forced or calls < min(settings.min_calls, settings.window_calls):
            return
        failures = sum(result.failed for result in self.results)
        slow = sum(result.slow for result in self.results)
        if slow / calls >= settings.slow_rate or failures / calls >= settings.failure_rate:
            self.go("open", now)

    def judge_trials(self, now: float) -> None:
        if len(self.trials) < self.settings.trials:
            return
        slow = sum(self.trials) / len(self.trials) >= self.settings.slow_rate
        self.go("open" if slow else "closed", now)

    def acquire(self, now: float) -> int | None:
        """The era, as a permit."""
        if self.status == "half_open":
            self.judge_trials(now)
        if self.status == "open" and now >= self.until:
            self.go("half_open", now)
        if self.status == "open":
            return None
        if self.status == "half_open":
            if len(self.running) + len(self.trials) >= self.settings.trials:
                if not self.running or now - self.running[0] < self.settings.open_max:
                    return None
                del self.running[0]  # its place expires
            self.running.append(now)
        return self.era

    def settle(self, era: int, now: float, failed: bool, seconds: float) -> None:
        self.count(era, now, failed, self.slow(seconds))

    def count(self, era: int, now: float, failed: bool, slow: bool) -> None:
        if era != self.era:
            return
        if self.status == "closed":
            self.results.append(Result(now, failed, slow))
            self.judge(now)
        elif failed:
            self.go("open", now)
        else:
            del self.running[-1:]
            self.trials.append(slow)
            self.judge_trials(now)

    def cancel(self, era: int) -> None:
        if era == self.era and self.status == "half_open":
            del self.running[-1:]

    def fail_late(self, era: int, now: float) -> None:
        if era != self.era:
            return
        if self.status == "half_open":
            self.go("open", now)
            return
        self.prune(now)
        good = [index for index, result in enumerate(self.results) if not result.failed]
        if good:
            self.results[good[-1]] = self.results[good[-1]]._replace(failed=True)
        else:
            self.results.append(Result(now, True, False))
        self.judge(now)

    def force(self, state: str | None, now: float) -> None:
        was, self.forced = self.forced, state
        if state == "open":
            if self.status == "open":
                self.until = inf
            else:
                self.go("open", now)
        elif state == "closed" or was:
            if self.status != "closed":
                self.go("closed", now)
            elif state is None:
                self.results = []


RATES = st.sampled_from([0.25, 0.5, 0.55, 0.8, 1.0])
ANY_SETTINGS = st.builds(
    BreakerSettings,
    failure_rate=RATES,
    slow_rate=RATES,
    slow_after=st.sampled_from([None, 1.0]),
    min_calls=st.integers(1, 6),
    window=st.sampled_from([2.0, 8.0, 60.0]),
    window_calls=st.integers(1, 8),
    open=st.sampled_from([0.5, 1.0]),
    open_max=st.sampled_from([1.0, 4.0]),
    jitter=st.just(0.0),
    trials=st.integers(1, 3),
)


class Histories(RuleBasedStateMachine):
    @initialize(settings=ANY_SETTINGS)
    def begin(self, settings: BreakerSettings) -> None:
        self.now = 1000.0
        self.told: list[str] = ["closed"]
        self.breaker = Breaker(settings, self.changed, lambda: 0.5)
        self.model = Model(settings)
        self.running: list[tuple[Permit, int]] = []
        self.succeeded: list[tuple[Permit, int]] = []

    def changed(self, breaker: Breaker, old: str, new: str, now: float) -> None:
        assert old == self.told[-1] != new
        assert now == self.now
        self.told.append(new)

    @rule(seconds=st.sampled_from([0.25, 0.5, 1.0, 2.0, 8.25]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(count=st.integers(1, 4))
    def acquire(self, count: int) -> None:
        for _ in range(count):
            permit, era = self.breaker.acquire(self.now), self.model.acquire(self.now)
            assert (permit is None) == (era is None)
            if permit is not None and era is not None:
                self.running.append((permit, era))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), failed=st.booleans(), seconds=st.sampled_from([0.5, 1.0, 1.5]))
    def settle(self, data: st.DataObject, failed: bool, seconds: float) -> None:
        permit, era = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.breaker.settle(permit, self.now, failed, seconds)
        self.model.settle(era, self.now, failed, seconds)
        if not failed:
            self.succeeded.append((permit, era))

    @rule(failed=st.booleans(), seconds=st.sampled_from([0.5, 1.5]), count=st.integers(1, 5))
    def call(self, failed: bool, seconds: float, count: int) -> None:
        for _ in range(count):
            permit, era = self.breaker.acquire(self.now), self.model.acquire(self.now)
            assert (permit is None) == (era is None)
            if permit is not None and era is not None:
                self.breaker.settle(permit, self.now, failed, seconds)
                self.model.settle(era, self.now, failed, seconds)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        permit, era = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.breaker.cancel(permit)
        self.model.cancel(era)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def outrun(self, data: st.DataObject) -> None:
        permit, era = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.breaker.outrun(permit, self.now)
        self.model.count(era, self.now, False, True)

    @precondition(lambda self: self.succeeded)
    @rule(data=st.data())
    def fail_late(self, data: st.DataObject) -> None:
        permit, era = self.succeeded.pop(data.draw(st.integers(0, len(self.succeeded) - 1)))
        self.breaker.fail_late(permit, self.now)
        self.model.fail_late(era, self.now)

    @rule(state=st.sampled_from(["open", "closed", None, None]))
    def force(self, state: str | None) -> None:
        self.breaker.force(state, self.now)
        self.model.force(state, self.now)

    @rule(settings=ANY_SETTINGS)
    def configure(self, settings: BreakerSettings) -> None:
        self.breaker.settings = self.model.settings = settings

    @invariant()
    def same(self) -> None:
        breaker, model = self.breaker, self.model
        model.prune(self.now)
        calls = len(model.results)
        assert breaker.snapshot(self.now) == {
            "state": model.status,
            "forced": model.forced,
            "calls": calls,
            "failure_rate": sum(result.failed for result in model.results) / max(1, calls),
            "slow_rate": sum(result.slow for result in model.results) / max(1, calls),
            "until": max(0.0, model.until - self.now)
            if model.status == "open" and model.until < inf
            else None,
        }
        assert (breaker.status, breaker.opened_at, breaker.until) == (
            model.status,
            model.opened_at,
            model.until,
        )
        assert breaker.status == self.told[-1]


Histories.TestCase.settings = hypothesis_settings(stateful_step_count=60)
TestHistories = Histories.TestCase
