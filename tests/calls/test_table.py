from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.calls.style import ASCII, UNICODE, Style, width
from sidecar.calls.table import table
from sidecar.observe.record import CallRecord, Try

PLAIN = Style(False, UNICODE)


def record(name: str = "0123456789abcdef", **fields: object) -> CallRecord:
    usual: dict[str, object] = {
        "trace_id": name,
        "model": "gpt-x",
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "duration_ms": 812.0,
        "tries": (Try("e", "first", 0.0, status=200),),
    }
    return CallRecord(1e9, name, **{**usual, **fields})  # type: ignore[arg-type]


FULL = [
    record("aaaaaaaa1", input_tokens=1156, output_tokens=64, cost=0.00123, first_token_ms=212.4),
    record(
        "bbbbbbbb2",
        status=502,
        error="upstream_reset",
        tries=(Try("e", "first", 0.0), Try("f", "retry", 1.0, after="503")),
    ),
    record("aaaaaaaa3", status=0, error="caller_left", tries=(), estimated=True, output_tokens=5),
]


def test_a_wide_table_has_everything() -> None:
    head, *rows = (line.split() for line in table(FULL, 1000, PLAIN).splitlines())
    assert " ".join(head) == "TIME STATUS TOOK FIRST TOKENS COST TRIES ENDED MODEL PATH ID"
    called = ["gpt-x", "POST", "/v1/chat/completions"]
    assert rows[0][1:] == [
        "200",
        "812",
        "ms",
        "212",
        "ms",
        "1,156→64",
        "0.0012",
        *called,
        "aaaaaaaa1",
    ]
    assert rows[1][1:] == [
        "502",
        "812",
        "ms",
        "2:",
        "retry",
        "503",
        "upstream_reset",
        *called,
        "bbbbbbbb2",
    ]
    assert rows[2][1:] == ["left", "812", "ms", "~0→5", "none", "caller_left", *called, "aaaaaaaa3"]


def test_a_column_without_a_value_is_not_there() -> None:
    head = table([record()], 1000, PLAIN).splitlines()[0].split()
    assert head == ["TIME", "STATUS", "TOOK", "MODEL", "PATH", "ID"]


def test_nothing_is_said_to_be_nothing() -> None:
    assert table([], 80, PLAIN) == "no calls"


@pytest.mark.parametrize("columns", [120, 100, 80, 60, 40])
def test_a_narrow_table_fits_and_keeps_what_matters(columns: int) -> None:
    lines = table(FULL, columns, PLAIN).splitlines()
    assert max(map(len, lines)) <= columns
    assert {"TIME", "STATUS", "TOOK", "ID"} <= set(lines[0].split())


@given(st.text(), st.text(), st.text(), st.integers(60, 200), st.sampled_from([UNICODE, ASCII]))
def test_texts_from_outside_stay_in_their_cells(
    path: str, model: str, code: str, columns: int, signs: object
) -> None:
    made = [record(path=path, model=model, error=code), record("fedcba9876543210")]
    text = table(made, columns, Style(False, signs))  # type: ignore[arg-type]
    lines = text.split("\n")
    assert len(lines) == 3
    assert all(width(line) <= columns for line in lines)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert signs is UNICODE or text.isascii()


def test_colours_only_where_they_are_wanted() -> None:
    coloured = table(FULL, 1000, Style(True, UNICODE))
    assert "\x1b[31m" in coloured
    assert re.sub("\x1b\\[\\d+m", "", coloured) == table(FULL, 1000, PLAIN)
