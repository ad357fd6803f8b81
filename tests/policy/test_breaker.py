"""Each rule by example; any history of them in test_breaker_histories.py."""

from math import inf

import pytest
from aiobreaker import CircuitBreakerListener, CircuitBreakerState
from aiobreaker.state import CircuitClosedState, CircuitHalfOpenState, CircuitOpenState

from sidecar.policy.breaker import Breaker, Permit
from sidecar.policy.breaker_settings import BreakerSettings

SETTINGS = BreakerSettings(
    failure_rate=0.5,
    slow_rate=0.8,
    slow_after=None,
    min_calls=4,
    window=30.0,
    window_calls=10,
    open=1.0,
    open_max=60.0,
    jitter=0.0,
    trials=3,
)
FAST, SLOW = 0.1, 5.0


class Bench:
    """A breaker with a clock that the test moves, and the changes that it told of."""

    def __init__(self, settings: BreakerSettings = SETTINGS, roll: float = 0.5) -> None:
        self.now = 100.0
        self.changes: list[tuple[str, str, float]] = []
        self.breaker = Breaker(settings, self._changed, lambda: roll)

    def _changed(self, breaker: Breaker, old: str, new: str, now: float) -> None:
        assert breaker is self.breaker
        assert breaker.status == new
        self.changes.append((old, new, now))

    def take(self) -> Permit:
        permit = self.breaker.acquire(self.now)
        assert permit is not None
        return permit

    def refuses(self) -> bool:
        return self.breaker.acquire(self.now) is None

    def settle(self, permit: Permit, failed: bool = False, seconds: float = FAST) -> None:
        self.breaker.settle(permit, self.now, failed, seconds)

    def calls(self, history: str) -> None:
        """One after another: `.` success, `x` failure, `s` slow success, `S` slow failure."""
        for letter in history:
            self.settle(self.take(), letter in "xS", SLOW if letter in "sS" else FAST)

    def seen(self) -> tuple[object, ...]:
        shown = self.breaker.snapshot(self.now)
        return tuple(shown[key] for key in ("calls", "failure_rate", "slow_rate"))

    def tripped(self) -> "Bench":
        self.calls("xxxx")
        assert self.breaker.status == "open"
        return self

    def half_opened(self) -> tuple["Bench", Permit]:
        """With one trial running."""
        self.tripped()
        self.now = self.breaker.until
        return self, self.take()


# -- closed --

SLOW_SET = SETTINGS._replace(slow_after=1.0)


@pytest.mark.parametrize(
    ("settings", "history", "status"),
    [
        (SETTINGS, "xxx", "closed"),  # fewer than min_calls
        (SETTINGS, "xxxx", "open"),
        (SETTINGS, "xx..", "open"),  # half is reached
        (SETTINGS, ".x.x", "open"),
        (SETTINGS, "xxx.", "open"),  # min_calls may come with a success
        (SETTINGS, "x...", "closed"),
        (SETTINGS, "x...xx", "open"),
        (SETTINGS, ".........." + "xxxx", "closed"),  # 4 of the last 10
        (SETTINGS, ".........." + "xxxxx", "open"),
        (SETTINGS, "x......" * 9, "closed"),
        (SETTINGS._replace(failure_rate=1.0), "xxx.xxx", "closed"),
        (SETTINGS._replace(failure_rate=0.55, window_calls=100, min_calls=100),
         "." * 45 + "x" * 55, "open"),
        (SETTINGS, "ssssssssss", "closed"),  # nothing is slow
        (SLOW_SET, "sss.", "closed"),
        (SLOW_SET, "ssss", "open"),
        (SLOW_SET, "ssss.", "open"),
        (SLOW_SET, "ss.ss", "open"),
        (SLOW_SET, "ss..ss", "closed"),
        (SLOW_SET, "S...", "closed"),  # slow and failed: one in each rate
        (SLOW_SET._replace(failure_rate=1.0), "sSsS", "open"),
    ],
)  # fmt: skip
def test_when_it_opens(settings: BreakerSettings, history: str, status: str) -> None:
    bench = Bench(settings)
    for letter in history:
        if bench.breaker.status == "open":
            break
        bench.calls(letter)
    assert bench.breaker.status == status


@pytest.mark.parametrize(("seconds", "slow_rate"), [(1.0, 0.0), (1.001, 1.0)])
def test_slow_is_longer_than_slow_after(seconds: float, slow_rate: float) -> None:
    bench = Bench(SLOW_SET)
    bench.settle(bench.take(), False, seconds)
    assert bench.seen() == (1, 0.0, slow_rate)


@pytest.mark.parametrize(("age", "status"), [(30.0, "open"), (30.001, "closed")])
def test_old_results_do_not_count(age: float, status: str) -> None:
    bench = Bench()
    bench.calls("xxx")
    bench.now += age
    bench.calls("x")
    assert bench.breaker.status == status


def test_the_rates_rise_as_old_successes_leave() -> None:
    bench = Bench()
    bench.calls("....")
    bench.now += 20
    bench.calls("xxx")
    bench.now += 10.5
    bench.calls(".")
    assert bench.breaker.status == "open"


def test_more_calls_asked_for_than_the_window_holds() -> None:
    bench = Bench(SETTINGS._replace(min_calls=50))
    bench.calls("x" * 9)
    assert bench.breaker.status == "closed"
    bench.calls("x")
    assert bench.breaker.status == "open"


def test_a_cancelled_attempt_tells_nothing() -> None:
    bench = Bench()
    bench.calls("xxx")
    bench.breaker.cancel(bench.take())
    assert bench.breaker.status == "closed"
    assert bench.seen() == (3, 1.0, 0.0)


def test_what_is_outrun_is_slow_whatever_slow_after_says() -> None:
    bench = Bench()
    for _ in range(3):
        bench.breaker.outrun(bench.take(), bench.now)
    assert bench.seen() == (3, 0.0, 1.0)
    assert bench.breaker.status == "closed"
    bench.breaker.outrun(bench.take(), bench.now)
    assert bench.breaker.status == "open"


def test_trials_that_are_outrun_open_again() -> None:
    bench, first = Bench().half_opened()
    for permit in (first, bench.take(), bench.take()):
        bench.breaker.outrun(permit, bench.now)
    assert bench.breaker.status == "open"


def test_a_straggler_that_is_outrun_is_ignored() -> None:
    bench = Bench()
    late = bench.take()
    bench.calls("xxxx")
    bench.breaker.outrun(late, bench.now)
    assert bench.seen() == (4, 1.0, 0.0)


def test_a_reply_that_breaks_late_is_one_failed_call() -> None:
    bench = Bench(SETTINGS._replace(failure_rate=1.0))
    for _ in range(3):
        permit = bench.take()
        bench.settle(permit)
        bench.now += 1
        bench.breaker.fail_late(permit, bench.now)
    assert bench.seen() == (3, 1.0, 0.0)
    permit = bench.take()
    bench.settle(permit)
    assert bench.breaker.status == "closed"
    bench.breaker.fail_late(permit, bench.now)
    assert bench.breaker.status == "open"


def test_a_slow_reply_that_breaks_late_stays_slow() -> None:
    bench = Bench(SLOW_SET)
    bench.calls("s")
    bench.breaker.fail_late(bench.take(), bench.now)
    assert bench.seen() == (1, 1.0, 1.0)


def test_a_reply_that_breaks_when_its_success_has_grown_old_is_a_failure_now() -> None:
    bench = Bench()
    permit = bench.take()
    bench.settle(permit)
    bench.now += 31
    bench.breaker.fail_late(permit, bench.now)
    assert bench.seen() == (1, 1.0, 0.0)
    bench.now += 30
    assert bench.seen() == (1, 1.0, 0.0)


# -- open --


def test_it_refuses_until_its_time_is_over() -> None:
    bench = Bench().tripped()
    assert (bench.breaker.opened_at, bench.breaker.until) == (100.0, 101.0)
    bench.now = 100.999
    assert bench.refuses()
    assert bench.breaker.status == "open"
    bench.now = 101.0
    bench.take()
    assert bench.breaker.status == "half_open"
    assert bench.changes == [("closed", "open", 100.0), ("open", "half_open", 101.0)]


def lengths(bench: Bench, openings: int) -> list[float]:
    """How long it is open each time that its trials fail."""
    bench.tripped()
    found = [bench.breaker.until - bench.now]
    for _ in range(openings - 1):
        bench.now = bench.breaker.until
        bench.calls("x")
        found.append(bench.breaker.until - bench.now)
    return found


def test_each_failed_trial_doubles_the_time() -> None:
    assert lengths(Bench(), 9) == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_it_may_fail_for_ever() -> None:
    assert lengths(Bench(), 2000)[-1] == 60


def test_closing_begins_with_the_first_time_again() -> None:
    bench = Bench()
    lengths(bench, 4)
    bench.now = bench.breaker.until
    bench.calls("...")
    assert bench.breaker.status == "closed"
    assert lengths(bench, 2) == [1, 2]


@pytest.mark.parametrize(("roll", "first", "last"), [(0, 0.8, 48), (0.5, 1, 60), (0.75, 1.1, 66)])
def test_jitter_spreads_the_time(roll: float, first: float, last: float) -> None:
    found = lengths(Bench(SETTINGS._replace(jitter=0.2), roll), 7)
    assert (found[0], found[-1]) == pytest.approx((first, last))


def test_a_failed_trial_does_not_make_it_a_newer_failure() -> None:
    bench = Bench()
    lengths(bench, 3)
    assert bench.now > bench.breaker.opened_at == 100.0


def test_what_opened_it_can_be_seen() -> None:
    bench = Bench()
    bench.calls(".xx.")
    assert bench.breaker.snapshot(100.25) == {
        "state": "open",
        "forced": None,
        "calls": 4,
        "failure_rate": 0.5,
        "slow_rate": 0.0,
        "until": 0.75,
    }
    assert bench.breaker.snapshot(102.0)["until"] == 0.0


# -- half-open --


def test_as_many_trials_as_are_set() -> None:
    bench, first = Bench().half_opened()
    second, third = bench.take(), bench.take()
    assert bench.refuses()
    bench.settle(first)
    assert bench.refuses()
    bench.settle(second)
    assert bench.breaker.status == "half_open"
    bench.settle(third)
    assert bench.breaker.status == "closed"
    assert bench.seen() == (0, 0.0, 0.0)


def test_a_cancelled_trial_gives_its_place_back() -> None:
    bench, first = Bench(SETTINGS._replace(trials=1)).half_opened()
    assert bench.refuses()
    bench.breaker.cancel(first)
    bench.calls(".")
    assert bench.breaker.status == "closed"


def test_trials_that_never_end_lose_their_places_in_time() -> None:
    bench, first = Bench().half_opened()
    bench.now += 1
    hanging = [first, bench.take(), bench.take()]
    bench.now += SETTINGS.open_max - 1.5
    assert bench.refuses()
    bench.now += 0.5  # the first is as old as that; the others are not
    fresh = bench.take()
    assert bench.refuses()
    bench.now += 1
    second = bench.take(), bench.take()
    assert bench.refuses()
    for permit in (fresh, *second):
        bench.settle(permit)
    assert bench.breaker.status == "closed"
    for permit in hanging:  # as if they had been seen by an earlier breaker
        bench.settle(permit, True)
    assert bench.breaker.status == "closed"


def test_trials_that_are_quick_close_it_at_once_when_the_hanging_ones_lost_their_places() -> None:
    bench, _ = Bench().half_opened()
    for _ in range(2):
        bench.take()
    bench.now += SETTINGS.open_max
    bench.calls("...")  # one after another
    assert bench.breaker.status == "closed"


def test_a_late_trial_still_counts() -> None:
    bench, first = Bench(SETTINGS._replace(trials=2)).half_opened()
    bench.now += SETTINGS.open_max
    second = bench.take(), bench.take()
    bench.settle(first, True)
    assert bench.breaker.status == "open"
    for permit in second:
        bench.breaker.cancel(permit)


def test_cancelling_what_lost_its_place_frees_no_more_than_there_are() -> None:
    bench, first = Bench(SETTINGS._replace(trials=1)).half_opened()
    bench.now += SETTINGS.open_max
    second = bench.take()
    bench.breaker.cancel(first)
    bench.breaker.cancel(second)
    bench.take()
    assert bench.refuses()


def test_one_failed_trial_opens() -> None:
    bench, first = Bench().half_opened()
    bench.settle(bench.take())
    bench.settle(first, True)
    assert bench.breaker.status == "open"
    assert bench.breaker.until == bench.now + 2


def test_a_trial_that_breaks_late_opens() -> None:
    bench, first = Bench().half_opened()
    bench.settle(first)
    bench.breaker.fail_late(first, bench.now)
    assert bench.breaker.status == "open"


@pytest.mark.parametrize(
    ("history", "status"), [("...", "closed"), ("ss.", "closed"), ("sss", "open")]
)
def test_trials_that_are_too_slow_open(history: str, status: str) -> None:
    bench = Bench(SLOW_SET).tripped()
    bench.now = bench.breaker.until
    bench.calls(history)
    assert bench.breaker.status == status


# -- stragglers --


@pytest.mark.parametrize("how", ["success", "failure", "cancel", "late"])
def test_an_attempt_of_an_earlier_state_is_ignored(how: str) -> None:
    def end(bench: Bench, permit: Permit) -> None:
        if how == "cancel":
            bench.breaker.cancel(permit)
        elif how == "late":
            bench.breaker.fail_late(permit, bench.now)
        else:
            bench.settle(permit, how == "failure")

    bench = Bench(SETTINGS._replace(trials=2, min_calls=1))
    closed = [bench.take() for _ in range(3)]
    bench.calls("x")
    end(bench, closed[0])
    assert bench.breaker.status == "open"
    bench.now = bench.breaker.until
    trial = bench.take()
    end(bench, closed[1])
    assert bench.breaker.status == "half_open"
    bench.take()
    assert bench.refuses()  # no place came back
    bench.settle(trial, True)
    bench.now = bench.breaker.until
    bench.calls("..")
    end(bench, closed[2])
    end(bench, trial)
    assert bench.breaker.status == "closed"
    assert bench.seen() == (0, 0.0, 0.0)


# -- forced --


def test_forced_open_refuses_until_it_is_cleared() -> None:
    bench = Bench()
    running = bench.take()
    bench.breaker.force("open", bench.now)
    assert (bench.breaker.status, bench.breaker.forced) == ("open", "open")
    assert bench.breaker.until == inf
    assert bench.breaker.snapshot(bench.now)["until"] is None
    bench.now += 1e9
    assert bench.refuses()
    bench.breaker.force(None, bench.now)
    assert (bench.breaker.status, bench.breaker.forced) == ("closed", None)
    bench.settle(running, True)
    assert bench.seen() == (0, 0.0, 0.0)
    assert [change[:2] for change in bench.changes] == [("closed", "open"), ("open", "closed")]


def test_forced_open_while_open_holds_it_and_stays_the_older_failure() -> None:
    bench = Bench().tripped()
    bench.breaker.force("open", bench.now + 0.5)
    assert (bench.breaker.opened_at, bench.breaker.until) == (100.0, inf)
    assert len(bench.changes) == 1


def test_forced_open_wins_over_trials() -> None:
    bench, first = Bench(SETTINGS._replace(trials=1)).half_opened()
    bench.breaker.force("open", bench.now)
    bench.settle(first)
    assert bench.breaker.status == "open"


def test_forced_closed_counts_but_never_opens() -> None:
    bench = Bench()
    bench.breaker.force("closed", bench.now)
    assert bench.changes == []
    bench.calls("x" * 20)
    bench.breaker.fail_late(bench.take(), bench.now)
    assert bench.breaker.status == "closed"
    assert bench.seen() == (10, 1.0, 0.0)
    bench.breaker.force("closed", bench.now)
    assert bench.seen() == (10, 1.0, 0.0)
    bench.breaker.force(None, bench.now)
    assert bench.seen() == (0, 0.0, 0.0)
    bench.calls("xxxx")
    assert bench.breaker.status == "open"


@pytest.mark.parametrize("state", ["open", "half_open", "forced"])
def test_forced_closed_lets_pass_at_once(state: str) -> None:
    bench = Bench().tripped()
    if state == "half_open":
        bench.now = bench.breaker.until
        bench.take()
    elif state == "forced":
        bench.breaker.force("open", bench.now)
    bench.breaker.force("closed", bench.now)
    assert bench.breaker.status == "closed"
    assert bench.breaker.until <= bench.now
    bench.calls("x" * 10)
    assert bench.breaker.status == "closed"


def test_clearing_what_is_not_forced_changes_nothing() -> None:
    bench = Bench().tripped()
    bench.breaker.force(None, bench.now)
    assert bench.breaker.status == "open"


@pytest.mark.parametrize("state", ["half_open", "", "OPEN"])
def test_nothing_else_can_be_forced(state: str) -> None:
    bench = Bench()
    with pytest.raises(ValueError, match="forced open or closed"):
        bench.breaker.force(state, bench.now)
    assert bench.breaker.forced is None


# -- settings that are replaced --


@pytest.mark.parametrize(
    ("before", "settings", "then", "status"),
    [
        ("x...", SETTINGS._replace(failure_rate=0.2), ".", "open"),
        ("xxx", SETTINGS._replace(min_calls=3), ".", "open"),
        (".....xxx", SETTINGS._replace(window_calls=4), ".", "open"),
        ("xxx", SETTINGS._replace(failure_rate=1.0), ".", "closed"),
        (
            "sss",
            SETTINGS._replace(slow_after=1.0),
            "s",
            "closed",
        ),  # they were not slow when they came
    ],
)
def test_the_next_result_goes_by_the_new_ones(
    before: str, settings: BreakerSettings, then: str, status: str
) -> None:
    bench = Bench()
    bench.calls(before)
    assert bench.breaker.status == "closed"
    bench.breaker.settings = settings
    bench.calls(then)
    assert bench.breaker.status == status


def test_what_was_slow_when_it_came_stays_slow_until_it_is_forgotten() -> None:
    bench = Bench(SLOW_SET)
    bench.calls("sss")
    bench.breaker.settings = SETTINGS
    bench.calls("s" * 7)
    assert bench.breaker.status == "closed"
    assert bench.seen() == (10, 0.0, 0.3)
    bench.calls("s" * 3)
    assert bench.seen() == (10, 0.0, 0.0)


def test_fewer_trials_than_have_succeeded() -> None:
    """Nothing runs that could end half-open: the next acquire does."""
    bench, first = Bench().half_opened()
    bench.settle(first)
    bench.calls(".")
    bench.breaker.settings = SETTINGS._replace(trials=2)
    bench.take()
    assert bench.breaker.status == "closed"


def test_more_trials_than_before() -> None:
    bench, _ = Bench(SETTINGS._replace(trials=1)).half_opened()
    assert bench.refuses()
    bench.breaker.settings = SETTINGS._replace(trials=2)
    bench.take()
    assert bench.refuses()


# -- the library --


class Listener(CircuitBreakerListener):
    def __init__(self) -> None:
        self.told: list[tuple[object, object]] = []

    def state_change(self, breaker: Breaker, old: object, new: object) -> None:
        self.told.append((old, new))


def test_aiobreaker_drives_the_states() -> None:
    bench, listener = Bench(SETTINGS._replace(trials=1)), Listener()
    bench.breaker.add_listener(listener)
    states = [bench.breaker.state]
    for history in ("xxxx", "x", "."):
        bench.calls(history)
        states.append(bench.breaker.state)
        bench.now += 10
    kinds = [
        (CircuitClosedState, CircuitOpenState),
        (CircuitOpenState, CircuitHalfOpenState),
        (CircuitHalfOpenState, CircuitOpenState),
        (CircuitOpenState, CircuitHalfOpenState),
        (CircuitHalfOpenState, CircuitClosedState),
    ]
    assert len(listener.told) == len(kinds)
    for (old, new), (old_kind, new_kind) in zip(listener.told, kinds, strict=True):
        assert isinstance(old, old_kind)
        assert isinstance(new, new_kind)
    assert [state.state for state in states] == [
        CircuitBreakerState.CLOSED,
        CircuitBreakerState.OPEN,
        CircuitBreakerState.OPEN,
        CircuitBreakerState.CLOSED,
    ]
    assert states[1] is listener.told[0][1]
    assert bench.breaker.current_state is CircuitBreakerState.CLOSED


def test_its_counter_is_the_window() -> None:
    bench = Bench()
    bench.calls("xx.")
    assert bench.breaker.fail_counter == 2


def test_its_own_way_to_call_is_refused() -> None:
    def fail() -> None:
        raise OSError

    with pytest.raises(TypeError, match="acquire and settle"):
        Bench().breaker.call(fail)
