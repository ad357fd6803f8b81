from __future__ import annotations

import pytest

from sidecar.control.calls_wanted import Wanted, find, read, select
from sidecar.observe.record import CallRecord, Try

CALLS = [
    CallRecord(
        4.0, "r4", trace_id="t2", route="b", model="m", model_answered="m-2", status=200,
        duration_ms=10.0, verdict="truncated",
    ),
    CallRecord(
        3.0, "r3", trace_id="t1", route="a", model="n", status=503, duration_ms=20.0,
        endpoint="https://api.openai.com", tries=(Try("http://glm-1", "first", 0.0),),
    ),
    CallRecord(
        2.0, "r2", endpoint="https://api.openai.com", trace_id="t1", route="a", model="m",
        status=0, duration_ms=5.0,
    ),
    CallRecord(1.0, "t2", trace_id="t0", route="a", model="m", status=200, duration_ms=5000.0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["r4", "r3", "r2", "t2"]),
        ({"pretty": ""}, ["r4", "r3", "r2", "t2"]),
        ({"route": "a"}, ["r3", "r2", "t2"]),
        ({"model": "m"}, ["r4", "r2", "t2"]),
        ({"model": "m-2"}, ["r4"]),
        ({"status": "200"}, ["r4", "t2"]),
        ({"status": "5xx"}, ["r3"]),
        ({"status": "0"}, ["r2"]),
        ({"endpoint": "glm"}, ["r3"]),
        ({"endpoint": "http://glm-1"}, ["r3"]),
        ({"endpoint": "openai"}, ["r3", "r2"]),
        ({"errors": ""}, ["r4", "r3", "r2"]),
        ({"errors": "true"}, ["r4", "r3", "r2"]),
        ({"errors": "false"}, ["r4", "r3", "r2", "t2"]),
        ({"min_ms": "20"}, ["r3", "t2"]),
        ({"id": "t1"}, ["r3", "r2"]),
        ({"id": "t2"}, ["r4", "t2"]),
        ({"limit": "2"}, ["r4", "r3"]),
        ({"limit": "0"}, []),
        ({"limit": "9" * 30}, ["r4", "r3", "r2", "t2"]),
        ({"route": "a", "errors": "", "limit": "1"}, ["r3"]),
    ],
)
def test_filters(query: dict[str, str], found: list[str]) -> None:
    assert [call.request_id for call in select(CALLS, read(query))] == found


@pytest.mark.parametrize(
    "query",
    [
        {"rout": "a"},
        {"status": "ok"},
        {"status": "6xx"},
        {"status": "2000"},
        {"min_ms": "2s"},
        {"min_ms": "-1"},
        {"min_ms": "nan"},
        {"limit": "all"},
        {"limit": "-1"},
        {"limit": "1.5"},
    ],
)
def test_what_is_no_filter_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"^(there is no filter|\?)"):
        read(query)


def test_without_a_limit_there_are_a_hundred() -> None:
    assert read({}) == Wanted()
    assert len(select(CALLS * 50, Wanted())) == 100


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("r3", 3.0),
        ("t1", 3.0),  # the latest of the trace
        ("t2", 1.0),  # a request id counts for more than a trace id
        ("r", None),  # too short to stand for a whole id
        ("", None),
        ("t9", None),
    ],
)
def test_one_call_by_its_id(name: str, time: float | None) -> None:
    found = find(CALLS, name)
    assert (found and found.time) == time


def test_an_id_may_be_cut_short() -> None:
    calls = [CallRecord(2.0, "abcdef1"), CallRecord(1.0, "abcdef2")]
    assert find(calls, "abcdef2") is calls[1]
    assert find(calls, "abcd") is calls[0]
    assert find(calls, "abc") is None
