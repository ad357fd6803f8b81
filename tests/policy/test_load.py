from __future__ import annotations

from math import exp, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.load import Load, Report, Total


def load(*results: tuple[float, bool, float]) -> Load:
    """One that was made at 0 and saw (seconds, failed, now)."""
    made = Load("http://a", 1.0, 0.0)
    for seconds, failed, now in results:
        made.observe(seconds, failed, now, 10.0)
    return made


KEPT = exp(-0.1)
"""Of an average, after a second of ten."""


@pytest.mark.parametrize(
    ("results", "latency", "errors"),
    [
        ([], 0.0, 0.0),
        ([(0.4, False, 1.0)], 0.4, 0.0),
        ([(0.4, False, 1.0), (0.8, False, 1.0)], 0.6, 0.0),  # half way up, whenever
        ([(0.4, False, 1.0), (0.8, False, 9.0)], 0.6, 0.0),
        ([(0.8, False, 1.0), (0.4, False, 1.0)], 0.8, 0.0),  # down as time goes by
        ([(0.8, False, 1.0), (0.4, False, 2.0)], 0.4 + 0.4 * KEPT, 0.0),
        ([(0.8, False, 1.0), (0.4, False, 1e9)], 0.4, 0.0),
        ([(0.4, False, 1.0), (0.1, True, 9.0)], 0.4, 0.1),  # a failure is no sign of speed
        ([(0.4, False, 1.0), (0.8, True, 9.0)], 0.6, 0.1),  # a late one is one of slowness
        ([(0.001, True, 1.0)], 0.0, 0.1),
        ([(0.001, True, 1.0), (0.4, False, 1.0)], 0.4, 0.09),
        ([(1.0, True, 1.0), (1.0, True, 2.0)], 0.0, 0.19),
        ([(1.0, True, 1.0), (1.0, False, 2.0)], 1.0, 0.1 * 0.9),
        ([(1.0, True, 1.0), (1.0, False, 11.0)], 1.0, 0.1 * exp(-1)),  # it speaks for 10 s
    ],
)
def test_averages(results: list[tuple[float, bool, float]], latency: float, errors: float) -> None:
    made = load(*results)
    assert made.latency == pytest.approx(latency)
    assert made.errors == pytest.approx(errors)
    assert made.seen_at == (results[-1][2] if results else 0.0)


RESULTS = st.lists(
    st.tuples(st.floats(0.001, 1e4), st.booleans(), st.floats(0, 1e6)), max_size=30
).map(lambda results: sorted(results, key=lambda result: result[2]))


@given(RESULTS)
def test_averages_stay_within_what_was_seen(results: list[tuple[float, bool, float]]) -> None:
    made = load(*results)
    assert 0.0 <= made.errors <= 1.0
    assert made.latency <= max((seconds for seconds, _, _ in results), default=0.0) * (1 + 1e-9)
    good = [seconds for seconds, failed, _ in results if not failed]
    assert made.latency >= min(good, default=0.0) * (1 - 1e-9)


@given(RESULTS, st.floats(0.001, 1e4))
def test_a_failure_never_makes_it_look_better(
    results: list[tuple[float, bool, float]], seconds: float
) -> None:
    made = load(*results)
    latency, errors = made.latency, made.errors
    made.observe(seconds, True, 1e6, 10.0)
    assert made.latency >= latency
    assert made.errors >= errors


@pytest.mark.parametrize(("given", "latency"), [(0.1, 0.4), (0.4, 0.4), (0.8, 0.6), (4.4, 2.4)])
def test_an_attempt_that_was_given_up_took_at_least_so_long(given: float, latency: float) -> None:
    made = load((0.4, False, 1.0))
    made.at_least(given)
    assert made.latency == pytest.approx(latency)
    assert (made.errors, made.seen_at) == (0.0, 1.0)


def test_of_who_has_not_answered_yet_it_is_the_first_news() -> None:
    made = load()
    made.at_least(9.0)
    assert made.latency == 0.0  # nobody knows whether that is long
    made.total.usual = 2.0
    made.at_least(1.0)
    assert made.latency == 0.0
    made.at_least(3.0)
    assert made.latency == 3.0


def test_to_be_outrun_is_worse_than_to_be_slow() -> None:
    made = load((0.4, False, 1.0))
    made.outrun(2.0)
    assert (made.latency, made.errors, made.seen_at) == (0.4, 0.1, 2.0)


def test_what_is_usual_goes_by_all_endpoints_and_successes_only() -> None:
    total = Total()
    one, other = Load("a", 1.0, 0.0, total), Load("b", 1.0, 0.0, total)
    one.observe(0.1, False, 1.0, 10.0)
    assert total.usual == 0.1
    one.observe(9.0, True, 2.0, 10.0)
    assert total.usual == 0.1
    for _ in range(200):
        other.observe(0.5, False, 3.0, 10.0)
    assert total.usual == pytest.approx(0.5, abs=0.01)


def test_silence_is_since_the_last_answer_while_one_is_owed() -> None:
    made = load()
    made.ask(5.0)
    made.ask(6.0)
    assert (made.unanswered, made.silent_since) == (2, 5.0)
    made.answer(7.0)
    assert (made.unanswered, made.silent_since) == (1, 7.0)
    made.answer(8.0)
    made.ask(20.0)
    assert (made.unanswered, made.silent_since) == (1, 20.0)


def test_what_is_usual_is_known_soon() -> None:
    made = load()
    for count, seconds in enumerate([0.002, 0.2, 0.2, 0.2], 1):
        made.observe(seconds, False, float(count), 10.0)
    assert made.total.usual == pytest.approx((0.002 + 0.6) / 4)


def test_a_limit_costs_a_call_but_tells_no_latency() -> None:
    made = load((0.4, False, 1.0))
    made.limit(2.0)
    assert (made.latency, made.errors, made.seen_at) == (0.4, 0.1, 2.0)


def test_who_asks_for_peace_gets_it_until_the_last_time_that_it_named() -> None:
    total = Total()
    one, other = Load("a", 1.0, 0.0, total), Load("b", 1.0, 0.0, total)
    one.cool(5.0)
    one.cool(3.0)
    other.cool(4.0)
    assert (one.cool_until, other.cool_until, total.cool_until) == (5.0, 4.0, 5.0)
    assert one.snapshot(3.5)["avoided_s"] == 1.5
    assert "avoided_s" not in one.snapshot(5.0)


@pytest.mark.parametrize(
    ("report", "in_flight", "others", "pressure"),
    [
        (Report(), 0, 0, 0),
        (Report(queued=3, running=2), 0, 5, 0),
        (Report(queued=3, running=2), 4, 1, 0),  # the other four are ours
        (Report(queued=3, running=2), 9, 0, 0),
        (Report(kv_used=0.2, utilization=0.5), 0, 0, 0.5**3),
        (Report(kv_used=0.9, utilization=0.7), 0, 0, 0.9**3),
        (Report(kv_used=1.5), 0, 0, 1.0),
        (Report(kv_used=-1.5), 0, 0, 0.0),
        (Report(running=4, kv_used=1.0), 4, 0, 0.0),  # it is we who fill it
        (Report(running=4, kv_used=1.0), 3, 1, 0.25),
        (Report(kv_used=1.0), 3, 0, 1.0),  # it does not say who does
    ],
)
def test_what_a_report_comes_to(
    report: Report, in_flight: int, others: float, pressure: float
) -> None:
    made = load()
    assert made.reported_at == -inf
    made.report(Report(9, 9, 0.9, 0.9), 0.0)  # the last one counts
    made.in_flight = in_flight
    made.report(report, 1.0)
    assert (made.reported, made.others) == (report, others)
    assert made.pressure == pytest.approx(pressure)
    assert made.reported_at == 1.0
    made.in_flight = 0  # what is ours now is no matter
    assert made.others == others


def test_calls_count_in_the_total() -> None:
    total = Total()
    one, other = Load("a", 1.0, 0.0, total), Load("b", 1.0, 0.0, total)
    for member in (one, one, other):
        member.begin()
    one.end()
    assert (one.in_flight, other.in_flight, total.in_flight) == (1, 1, 2)
    assert Load("c", 1.0, 0.0).total is not Load("d", 1.0, 0.0).total


def test_for_people_to_read() -> None:
    made = load((0.25, False, 1.0), (0.1, True, 1.0))
    assert made.snapshot(3.0) == {"latency_ms": 250.0, "errors": 0.1}
    made.report(Report(queued=2, kv_used=0.5), 1.5)
    assert made.snapshot(3.0)["reported"] == {
        "queued": 2, "running": 0, "kv_used": 0.5, "utilization": 0, "age_s": 1.5,
    }  # fmt: skip
