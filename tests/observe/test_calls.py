"""Which calls are kept, and for how long."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.observe.calls import Calls, CallsSettings, is_bad
from sidecar.observe.record import CallRecord, Note, Try

GOOD = 200
BAD = 503


def record(number: int, status: int = GOOD, ms: float = 1.0, **fields: object) -> CallRecord:
    return CallRecord(1e9 + number, f"r{number}", status=status, duration_ms=ms, **fields)  # type: ignore[arg-type]


def kept(calls: Calls) -> list[str]:
    return [call.request_id for call in calls]


def test_errors_and_slow_ones_outlive_the_latest() -> None:
    calls = Calls(CallsSettings(3, 2, 2, 2**20))
    for number in range(403):
        ms = 500.0 if number % 100 == 50 else 1.0
        calls.append(record(number, BAD if number % 100 == 7 else GOOD, ms))
    # The slow of each hundred without an error, of which the last hundred is not over.
    assert kept(calls) == ["r402", "r401", "r400", "r307", "r250", "r207", "r150"]
    assert len(calls) == 7


def test_the_slowest_of_each_hundred_is_no_error() -> None:
    calls = Calls(CallsSettings(0, 0, 5, 2**20))
    for number in range(100):
        calls.append(record(number, BAD, 900.0))
        calls.append(record(number, GOOD, float(number)))
    assert kept(calls) == ["r99"]


@pytest.mark.parametrize(
    ("bad", "fields"),
    [
        (False, {"status": 200}),
        (False, {"status": 302, "verdict": "complete"}),
        (True, {"status": 404}),
        (True, {"status": 0}),
        (True, {"status": 200, "error": "upstream_truncated"}),
        (True, {"status": 200, "verdict": "truncated"}),
    ],
)
def test_what_counts_as_an_error(bad: bool, fields: dict[str, object]) -> None:
    assert is_bad(CallRecord(0.0, "r", **fields)) is bad  # type: ignore[arg-type]


RECORDS = st.builds(
    record,
    st.integers(0, 99),
    st.sampled_from([0, GOOD, BAD]),
    st.floats(0, 1e4),
    path=st.integers(0, 5000).map(lambda length: "x" * length),
    tries=st.integers(0, 3).map(lambda count: (Try("e", "first", 0.0),) * count),
    notes=st.integers(0, 3).map(lambda count: (Note(0.0, "gate", "open"),) * count),
)
SETTINGS = st.builds(
    CallsSettings, st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), st.integers(0, 40_000)
)


@given(SETTINGS, st.lists(RECORDS, max_size=40), SETTINGS)
def test_bounds_hold_whatever_comes(
    first: CallsSettings, records: list[CallRecord], second: CallsSettings
) -> None:
    calls = Calls(first)
    for settings in (first, second):
        calls.configure(settings)
        for each in (None, *records):
            if each is not None:
                calls.append(each)
            held = list(calls)
            assert len(held) == len(calls) <= settings.keep + settings.errors + settings.slow
            assert sum(len(msgspec.msgpack.encode(one)) for one in held) <= settings.bytes
        if settings.keep and records and room(records[-1]) <= settings.bytes // 2:
            assert next(iter(calls)).request_id == records[-1].request_id


def room(record: CallRecord) -> int:
    """Bytes that the one call takes, with some to spare."""
    return len(msgspec.msgpack.encode(record)) + 200


def test_what_is_kept_no_more_is_let_go_of_by_a_smaller_setting() -> None:
    calls = Calls(CallsSettings(10, 10, 10, 2**20))
    for number in range(10):
        calls.append(record(number, BAD if number == 1 else GOOD))
    calls.configure(CallsSettings(2, 10, 10, 2**20))
    assert kept(calls) == ["r9", "r8", "r1"]
    calls.configure(CallsSettings(0, 0, 0, 0))
    assert kept(calls) == []


def test_what_ended_since_a_mark() -> None:
    calls = Calls(CallsSettings(3, 0, 0, 2**20))
    assert calls.since(None) == ([], None)
    calls.append(record(0))
    _, mark = calls.since(None)
    assert calls.since(mark) == ([], mark)
    calls.append(record(1))
    calls.append(record(2))
    assert [call.request_id for call in calls.since(mark)[0]] == ["r2", "r1"]
    calls.append(record(3))  # the marked one is let go of
    assert [call.request_id for call in calls.since(mark)[0]] == ["r3", "r2", "r1"]
