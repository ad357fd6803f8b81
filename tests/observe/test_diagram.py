"""Calls as Mermaid diagrams.

That Mermaid reads them as they are meant was checked by hand, with its own parser (version 11):
thousands of hostile records have as many messages and participants there as lines here.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.observe.diagram import diagram, text
from sidecar.observe.record import CallRecord, Note, Try

CALL = CallRecord(
    1e9,
    "r-1",
    model="gpt-x",
    method="POST",
    path="/v1/chat/completions",
    status=200,
    stream=True,
    duration_ms=1000.0,
    first_byte_ms=600.2,
    input_tokens=156,
    output_tokens=64,
    verdict="complete",
    finish="stop",
    tries=(
        Try("http://a:1", "first", 0.2, "", 0.3, 300.0, 0.0, 300.0, 503, failure="overload"),
        Try("http://b", "retry", 350.0, "503", 450.0, 600.0, 600.0, 999.0, 200, verdict="complete"),
    ),
    notes=(Note(300.0, "retry", "number 1 in 0.050 s, after 503"),),
)


def lines(call: CallRecord) -> list[str]:
    return [line.strip() for line in diagram(call).splitlines()]


def test_a_call_with_a_retry() -> None:
    assert lines(CALL) == [
        "sequenceDiagram",
        "participant app as application",
        "participant sidecar",
        "participant e1 as http://a:1",
        "participant e2 as http://b",
        "app->>sidecar: POST /v1/chat/completions<br/>gpt-x<br/>stream",
        "sidecar->>e1: attempt 1, first<br/>at 0.3 ms",
        "Note over sidecar: retry: number 1 in 0.050 s, after 503",
        "e1-->>sidecar: 503 overload<br/>at 300 ms",
        "sidecar->>e2: attempt 2, retry after 503<br/>at 450 ms, 100 ms for a connection",
        "e2-->>sidecar: first content<br/>at 600 ms",
        "sidecar-->>app: 200<br/>begins at 600 ms",
        "e2-->>sidecar: 200 complete<br/>at 999 ms",
        "sidecar-->>app: 200<br/>156→64 tokens<br/>finish stop<br/>at 1,000 ms",
    ]


def test_what_ends_badly() -> None:
    outrun = Try("a", "first", 0.0, sent_ms=1.0, ended_ms=5.0, error="outrun")
    unsent = Try("a", "retry", 0.0, "503", ended_ms=6.0, error="connect_failed")
    reset = Try("b", "hedge", 2.0, sent_ms=3.0, ended_ms=4.0, error="upstream_reset")
    notes = (Note(7.0, "error", "no; more"),)
    tries = (outrun, unsent, reset)
    call = CallRecord(
        0.0, "r", status=502, error="upstream_reset", duration_ms=7.0, tries=tries, notes=notes
    )
    found = lines(call)
    assert "sidecar-xe1: given up, another was faster<br/>at 5.0 ms" in found
    assert (
        "sidecar-xe1: attempt 2, retry after 503<br/>not sent, connect_failed<br/>at 6.0 ms"
        in found
    )
    assert "e2--xsidecar: upstream_reset<br/>at 4.0 ms" in found
    assert found[-2:] == [
        "Note over app,sidecar: no#59; more",
        "sidecar-->>app: 502 upstream_reset<br/>at 7.0 ms",
    ]
    assert lines(CallRecord(0.0, "r", error="caller_left"))[-1].startswith("app-xsidecar: ")


@pytest.mark.parametrize(
    ("outside", "inside"),
    [
        ("a;b#c", "a#59;b#35;c"),
        ("%%{init: {}}%%", "#37;#37;#123;init: #123;#125;#125;#37;#37;"),
        ("$$x$$", "#36;#36;x#36;#36;"),
        ("<script>", "#60;script#62;"),
        ("a\nb\u202e", "a#92;u000ab#92;u202e"),
        ("style x:#1; classDef", "#115;tyle x:#35;1#59; #99;lassDef"),
        ("模型 é", "模型 é"),
        ("x" * 200, "x" * 99 + "…"),
    ],
)
def test_texts_from_outside_are_only_texts(outside: str, inside: str) -> None:
    assert text(outside) == inside


ANY = st.text() | st.sampled_from(["%%{init: {'theme': 'dark'}}%%", "x\nend", "a;participant z"])


@given(ANY, ANY, ANY, ANY)
def test_the_shape_never_depends_on_texts(path: str, model: str, endpoint: str, note: str) -> None:
    tries = (Try(endpoint, "first", 1.0, model, sent_ms=2.0, ended_ms=3.0, error=note),)
    notes = (Note(2.5, "gate", note), Note(4.0, "error", model))
    call = CallRecord(
        0.0, "r", method="GET", path=path, model=model, status=200, tries=tries, notes=notes,
        finish=note, duration_ms=4.0,
    )  # fmt: skip
    found = diagram(call).split("\n")
    assert len(found) == 4 + 1 + 4 + 1 + 1
    for line in found[4:-1]:
        assert re.fullmatch(
            r" +[\w,>-]+(?: over [a-z,]+)?: [^;#%$<>{}\"]*", re.sub(r"#\d+;|<br/>", "", line)
        )
