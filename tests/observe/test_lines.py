from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from sidecar.observe.lines import encode, line, rfc3339
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
