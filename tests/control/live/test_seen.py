from __future__ import annotations

from math import inf

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.control.live.seen import (
    BUCKET,
    Seen,
    choose,
    complete_since,
    history,
    seen_by_route,
    summary,
)
from sidecar.observe.record import CallRecord, Try


def call(number: int = 0, status: int = 200, **others: object) -> CallRecord:
    fields = {"verdict": "complete", "route": "chat"} | others
    return msgspec.structs.replace(CallRecord(1e9, f"id{number}"), status=status, **fields)


def one(status: int = 200, error: str = "", why: str = "first", verdict: str = "") -> Try:
    return Try("http://e", why, 0.0, status=status, error=error, verdict=verdict)


@pytest.mark.parametrize(
    ("ended", "ok", "failed", "first_ok", "attempts", "attempts_ok"),
    [
        (call(tries=(one(),)), 1, 0, 1, 1, 1),
        (call(tries=(one(503), one(503, why="retry"), one(why="retry"))), 1, 0, 0, 3, 1),
        (call(tries=(one(0, "connect_failed"), one(why="fallback"))), 1, 0, 0, 2, 1),
        (call(tries=(one(verdict="truncated"), one(why="retry"))), 1, 0, 0, 2, 1),
        (call(tries=(one(0, "outrun"), one(why="hedge"))), 1, 0, 1, 1, 1),  # slow is no failure
        (call(tries=(one(), one(500, why="mirror"))), 1, 0, 1, 1, 1),
        (call(cache="hit"), 1, 0, 1, 0, 0),
        (call(status=503, error="no_healthy_endpoint", verdict=""), 0, 1, 0, 0, 0),
        (call(status=502, tries=(one(502),), verdict=""), 0, 1, 0, 1, 0),
        (call(status=400, tries=(one(400),), verdict=""), 0, 0, 0, 0, 0),  # the caller's fault
        (call(status=0, error="caller_left", tries=(one(0, "caller_left"),)), 0, 0, 0, 0, 0),
        (call(status=429, error="rate_limited", verdict=""), 0, 0, 0, 0, 0),
    ],
)
def test_what_a_call_says_of_its_route(
    ended: CallRecord, ok: int, failed: int, first_ok: int, attempts: int, attempts_ok: int
) -> None:
    seen = Seen()
    seen.add(ended)
    assert (seen.calls, seen.ok, seen.failed, seen.first_ok) == (1, ok, failed, first_ok)
    assert (seen.attempts, seen.attempts_ok) == (attempts, attempts_ok)
    assert sum(seen.first.values()) == ok


@given(st.floats(0, 600_000))
def test_a_bucket_says_the_time_to_a_twentieth(first: float) -> None:
    seen = Seen()
    seen.add(call(first_token_ms=first))
    (bucket,) = seen.first
    assert bucket >= 0
    low, high = BUCKET ** (bucket - 1), BUCKET**bucket
    assert first <= 1 if bucket == 0 else low * 0.999 <= first <= high * 1.001


def test_a_stream_counts_from_its_first_token_and_another_reply_from_its_first_byte() -> None:
    (seen,) = seen_by_route([call(first_byte_ms=10.0, first_token_ms=100.0)]).values()
    (other,) = seen_by_route([call(first_byte_ms=100.0)]).values()
    assert seen.first == other.first


def test_calls_are_added_up_by_route() -> None:
    calls = [call(1), call(2, 502), call(3, route="embed"), call(4, 404, route="")]
    routes = seen_by_route(calls)
    assert {name: (of.calls, of.ok, of.failed) for name, of in routes.items()} == {
        "chat": (2, 1, 1),
        "embed": (1, 1, 0),
        "none": (1, 0, 0),
    }


def test_history_is_by_the_bin_in_which_calls_ended() -> None:
    now = 1e9 + 302  # 2 s into a bin
    calls = [
        call(1, time=now - 0.5),
        call(2, time=now - 7, duration_ms=4000.0),  # 3 s ago: in the bin before
        call(3, time=now - 6.9),
        call(4, time=now - 7.1),
        call(5, time=now - 296.9),
        call(6, time=now - 297.1),
        call(7, time=now + 5),  # the clock was set back
    ]
    (bins,) = history(calls, now).values()
    assert {age: of.calls for age, of in bins.items()} == {0: 1, 1: 2, 2: 1, 59: 1}


@pytest.mark.parametrize(
    ("kept", "ended", "since"), [(3, 3, 1e9 - 50), (3, 4, 1e9 + 2), (0, 0, 1e9 - 50), (0, 9, inf)]
)
def test_since_when_no_call_is_missing(kept: int, ended: int, since: float) -> None:
    latest = [call(number, duration_ms=2000.0) for number in range(kept)]
    assert complete_since(latest, ended, started=1e9 - 50) == since


def test_the_choice_of_calls_has_the_latest_and_the_bad() -> None:
    calls = [call(number, 502 if number >= 90 else 200) for number in range(100)]
    chosen = [each.request_id for each in choose(calls, 10)]
    assert chosen == [f"id{number}" for number in (*range(5), *range(90, 95))]
    assert choose(calls, 100) == calls
    assert [each.request_id for each in choose(calls[:90], 3)] == ["id0", "id1", "id2"]


def test_a_line_has_only_what_is_known() -> None:
    told = msgspec.to_builtins(summary(call(1, duration_ms=1.5)))
    assert told == {"id": "id1", "time": 1e9, "ms": 1.5, "status": 200, "route": "chat"}
    mended = summary(call(2, 503, tries=(one(503), one(503, why="retry"))))
    assert mended.bad
    assert mended.tries == ["retry"]
