from __future__ import annotations

import pytest

from sidecar.observe.record import CallRecord, Try
from sidecar.observe.told import cost, failing, milliseconds, outcome, tokens, try_outcome


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0 ms"), (9.94, "9.9 ms"), (12.4, "12 ms"), (1204.6, "1,205 ms")],
)
def test_times(value: float, text: str) -> None:
    assert milliseconds(value) == text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, ""),
        ({"input_tokens": 1156, "output_tokens": 64}, "1,156→64"),
        ({"output_tokens": 5, "estimated": True}, "~0→5"),
    ],
)
def test_tokens(fields: dict[str, object], text: str) -> None:
    assert tokens(CallRecord(0.0, "r", **fields)) == text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "text"), [(0.0000123, "1.23e-05"), (0.0012, "0.0012"), (1.5, "1.5000")]
)
def test_costs(value: float, text: str) -> None:
    assert cost(CallRecord(0.0, "r", cost=value)) == f"cost {text}"


@pytest.mark.parametrize(
    ("fields", "why", "text"),
    [
        ({"status": 200}, "", "200"),
        ({"status": 200, "verdict": "complete"}, "", "200"),
        ({"status": 200, "verdict": "truncated"}, "truncated", "200 truncated"),
        (
            {"status": 429, "verdict": "error", "failure": "rate_limit"},
            "rate_limit",
            "429 rate_limit",
        ),
        ({"status": 500, "verdict": "error"}, "error", "500 error"),
        ({"error": "caller_left", "verdict": "aborted"}, "caller_left", "no reply caller_left"),
    ],
)
def test_how_a_call_ended(fields: dict[str, object], why: str, text: str) -> None:
    call = CallRecord(0.0, "r", **fields)  # type: ignore[arg-type]
    assert (failing(call), outcome(call)) == (why, text)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"status": 503, "verdict": "error", "failure": "overload"}, "503 overload"),
        ({"status": 200, "verdict": "complete"}, "200 complete"),
        ({"error": "connect_failed"}, "connect_failed"),
        ({"error": "outrun"}, "given up, another was faster"),
        ({}, "no reply"),
    ],
)
def test_how_an_attempt_ended(fields: dict[str, object], text: str) -> None:
    assert try_outcome(Try("e", "first", 0.0, **fields)) == text  # type: ignore[arg-type]
