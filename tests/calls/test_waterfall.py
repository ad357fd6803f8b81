from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.calls.style import ASCII, UNICODE, Style
from sidecar.calls.waterfall import waterfall
from sidecar.observe.record import CallRecord, Note, Try

PLAIN = Style(False, UNICODE)
RETRIED = CallRecord(
    1e9,
    "r-1",
    trace_id="t-1",
    route="chat",
    model="gpt-x",
    model_answered="gpt-x-2",
    dialect="openai",
    operation="chat",
    method="POST",
    path="/v1/chat/completions",
    status=200,
    duration_ms=1000.0,
    client="127.0.0.1",
    user_agent="curl/7",
    stream=True,
    input_tokens=156,
    cached_tokens=100,
    output_tokens=64,
    cost=0.0012,
    verdict="complete",
    finish="stop",
    first_token_ms=600.0,
    queue_ms=30.0,
    layers=("retry", "attempt"),
    tries=(
        Try("http://a", "first", 0.0, "", 1.0, 300.0, 0.0, 300.0, 503, failure="overload"),
        Try(
            "http://b", "retry", 350.0, "503", 450.0, 600.0, 600.0, 1000.0, 200, verdict="complete"
        ),
    ),
    notes=(Note(300.0, "retry", "number 1 in 0.050 s, after 503"),),
)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "localtime", time.gmtime)


def test_a_call_and_its_attempts() -> None:
    assert waterfall(RETRIED, 100, PLAIN).splitlines() == [
        "POST /v1/chat/completions  200, 1,000 ms",
        "  when      2001-09-09 01:46:40.000",
        "  caller    127.0.0.1, curl/7",
        "  route     chat, retry > attempt",
        "  model     gpt-x, answered by gpt-x-2, openai chat",
        "  tokens    156→64, 100 cached, cost 0.0012",
        "  reply     complete, finish stop, first token after 600 ms",
        "  waits     30 ms in admission",
        "  request   r-1",
        "  trace     t-1",
        "",
        "                     0 ms                                           1,000 ms",
        "  1 first            ────────────────                                         http://a  503 overload",  # noqa: E501
        "  2 retry after 503                     ······────────━━━━━━━━━━━━━━━━━━━━━━  http://b  200 complete",  # noqa: E501
        "",
        "      300 ms  retry: number 1 in 0.050 s, after 503",
    ]


def test_signs_for_a_terminal_without_unicode() -> None:
    text = waterfall(RETRIED, 100, Style(False, ASCII))
    assert text.isascii()
    assert ".....--------====" in text


@given(
    st.text(), st.text(), st.text(), st.integers(20, 150),
    st.lists(st.tuples(*[st.floats(0, 2000)] * 5), max_size=4), st.floats(0, 2000),
)  # fmt: skip
def test_any_times_and_texts_make_one_line_each(
    path: str,
    note: str,
    endpoint: str,
    columns: int,
    times: list[tuple[float, ...]],
    took: float,
) -> None:
    tries = tuple(
        Try(endpoint, "first", began, "", sent, head, content, ended)
        for began, sent, head, content, ended in times
    )
    call = CallRecord(
        1e9, "r", path=path, duration_ms=took, tries=tries, notes=(Note(0, "x", note),)
    )
    text = waterfall(call, columns, PLAIN)
    assert len(text.split("\n")) == 7 + bool(tries) * (2 + len(tries))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)


def test_colours_only_where_they_are_wanted() -> None:
    coloured = waterfall(RETRIED, 100, Style(True, UNICODE))
    assert re.sub("\x1b\\[\\d+m", "", coloured) == waterfall(RETRIED, 100, PLAIN)
    assert "\x1b[31m" in coloured
