from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from time import gmtime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.model.access_log import Field
from sidecar.observe import lines
from sidecar.observe.lines import encode, line, line_of, rfc3339, text_line
from sidecar.observe.record import CallRecord, Try


def record(**fields: object) -> CallRecord:
    return CallRecord(1732388000.123, "r0", **fields)  # type: ignore[arg-type]


def test_a_line_holds_what_is_known_and_nothing_else() -> None:
    assert line(record()) == b'{"time":"2024-11-23T18:53:20.123Z","request_id":"r0"}\n'
    full = json.loads(line(record(status=200, model="glm-5", stream=True, duration_ms=12.5)))
    assert full == {
        "time": "2024-11-23T18:53:20.123Z",
        "request_id": "r0",
        "model": "glm-5",
        "status": 200,
        "duration_ms": 12.5,
        "stream": True,
    }


def test_what_steers_a_terminal_is_escaped() -> None:
    text = line(record(user_agent="a\x9b31m\x7f", model="m\u202e"))
    assert text.isascii()
    assert b"\x7f" not in text
    assert json.loads(text)["user_agent"] == "a\x9b31m\x7f"
    assert json.loads(text)["model"] == "m\u202e"


@given(st.text(), st.text(), st.floats(0, 4e9))
def test_any_text_stays_one_line_of_json(path: str, agent: str, time: float) -> None:
    text = line(CallRecord(time, "r,1", path=path, user_agent=agent))
    row = json.loads(text)
    assert text.count(b"\n") == 1
    assert (row["request_id"], row.get("path", ""), row.get("user_agent", "")) == (
        "r,1",
        path,
        agent,
    )


@given(st.lists(st.integers(0, 4 * 10**12), min_size=1))
def test_times_are_rfc_3339_to_the_millisecond(times: list[int]) -> None:
    for milliseconds in times:
        whole, rest = divmod(milliseconds, 1000)
        expected = datetime.fromtimestamp(whole, UTC).replace(microsecond=rest * 1000)
        # Half a millisecond more: the nearest float may lie just below the millisecond.
        written = rfc3339((milliseconds + 0.5) / 1000)
        assert datetime.fromisoformat(written.decode()) == expected


def test_a_line_tells_attempts_if_there_were_several_and_the_whole_record_always() -> None:
    one, other = Try("a", "first", 0.0), Try("b", "retry", 1.0)
    once, twice = record(tries=(one,), layers=("attempt",)), record(tries=(one, other))
    assert json.loads(line(once)).keys() == {"time", "request_id"}
    assert [each["endpoint"] for each in json.loads(line(twice))["tries"]] == ["a", "b"]
    whole = json.loads(encode(once))
    assert (len(whole["tries"]), whole["layers"]) == (1, ["attempt"])


def test_fields_are_chosen_or_left_out() -> None:
    attempts = (Try("a", "first", 0.0),)
    full = record(
        status=200, model="m", client="c", user_agent="u", layers=("attempt",), tries=attempts
    )

    def keys(fields: list[str] | None, omit: list[str]) -> list[str]:
        return list(json.loads(line_of(fields, omit)(full)))

    both = always()
    assert keys(None, []) == [*both, "model", "status", "client", "user_agent"]
    assert keys(None, ["client", "user_agent"]) == [*both, "model", "status"]
    assert keys(["status", "model"], []) == [*both, "model", "status"]
    assert keys(["layers", "tries", "status"], ["status"]) == [*both, "tries", "layers"]
    assert keys([], []) == both
    assert full.client == "c"


def test_every_field_of_a_record_can_be_chosen() -> None:
    assert [*always(), *get_args(Field)] == list(CallRecord.__struct_fields__)


def always() -> list[str]:
    return ["time", "request_id"]


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "localtime", gmtime)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {},
            "18:53:20  left    0.0 ms",
        ),
        (
            {"method": "GET", "path": "/v1/models", "status": 200, "duration_ms": 12.34},
            "18:53:20   200     12 ms  GET /v1/models",
        ),
        (
            {
                "method": "POST", "path": "/v1/chat/completions", "status": 200, "stream": True,
                "model": "gpt-x", "duration_ms": 1812.0, "first_byte_ms": 212.4,
                "first_token_ms": 230.0, "input_tokens": 1156, "output_tokens": 64, "cost": 0.0012,
                "tries": (Try("a", "first", 0.0), Try("b", "retry", 1.0, "503")),
                "verdict": "truncated",
            },
            "18:53:20   200  1,812 ms  POST /v1/chat/completions  gpt-x  first 230 ms"
            "  1,156→64 tokens  cost 0.0012  2 attempts (retry after 503)  truncated",
        ),
    ],
)  # fmt: skip
def test_a_line_for_people(fields: dict[str, object], expected: str) -> None:
    assert text_line(record(**fields)).decode() == expected + "\n"


@given(st.text(), st.text(), st.text())
def test_any_text_stays_one_line_for_people(path: str, model: str, error: str) -> None:
    text = text_line(record(path=path, model=model, error=error)).decode()
    assert text.count("\n") == 1
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
