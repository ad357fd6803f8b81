"""Formats are checked, and a dialect's stream becomes a task's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.answers import Answer, writer_for
from sidecar.llm.dialects import APIS, Dialect
from sidecar.llm.sse import EventSplitter
from sidecar.llm.tasks.answered import MOST, TaskStream, finish_of
from sidecar.llm.tasks.formats import BULLETS, JSON, TEXT, of_schema
from sidecar.llm.usage import Usage
from tests.llm.tasks.worlds import SCHEMA, asked, tasks


@pytest.mark.parametrize(
    "text", ["- a", "- a\n- b", "* a\n\n* b\n", "1. a\n2) b", "\u2022 a\n  more"]
)
def test_bullet_points(text: str) -> None:
    assert BULLETS.check(text) == (text, None)


@pytest.mark.parametrize("text", ["", " \n", "a", "Here:\n- a", "- a\nb", "-a", "  more\n- a"])
def test_no_bullet_points(text: str) -> None:
    assert BULLETS.check(text).wrong is not None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        (" [1]\n", [1]),
        ("null", None),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ("```\n1\n```\n", 1),
    ],
)
def test_json(text: str, value: object) -> None:
    assert JSON.check(text) == (value, None)


@pytest.mark.parametrize("text", ["", "{", '{"a": 1} or so', "```json\n{\n```", "NaN", "[" * 9000])
def test_no_json(text: str) -> None:
    assert JSON.check(text).wrong == "the answer is not valid JSON"


def test_a_schema_is_checked() -> None:
    check = of_schema(SCHEMA).check
    assert check('{"name": "a"}') == ({"name": "a"}, None)
    assert check("{}").wrong == 'the answer does not fit `required: ["name"]`'
    assert check('{"name": 1}').wrong == '$.name does not fit `type: "string"`'
    assert check('{"name": "a secret"}').wrong == "$.name does not fit `maxLength: 5`"
    assert check("[]").wrong == 'the answer does not fit `type: "object"`'
    assert check("x").wrong == "the answer is not valid JSON"
    assert '"required":["name"]' in of_schema(SCHEMA).instruction


def test_a_reference_opens_no_url() -> None:
    check = of_schema({"$defs": {"a": {"type": "string"}}, "$ref": "#/$defs/a"}).check
    assert check('"a"').wrong is None
    assert check("1").wrong is not None


def test_a_text_is_not_empty() -> None:
    assert TEXT.check("a") == ("a", None)
    assert TEXT.check(" ").wrong == "the answer is empty"


@given(st.text())
def test_any_answer_is_checked(text: str) -> None:
    for format_ in (TEXT, BULLETS, JSON, of_schema(SCHEMA)):
        format_.check(text)


@pytest.mark.parametrize(
    ("reasons", "finish"),
    [
        (("stop",), "stop"),
        (("end_turn",), "stop"),
        (("STOP", "x"), "stop"),
        (("MAX_TOKENS",), "length"),
        (("max_tokens",), "length"),
        (("content_filter",), "content_filter"),
        ((), None),
    ],
)
def test_finish_reasons_of_all_dialects(reasons: tuple[str, ...], finish: str | None) -> None:
    assert finish_of(reasons) == finish


# -- streams --


PATHS: dict[Dialect, str] = {
    "openai": "/v1/chat/completions",
    "mistral": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/m:streamGenerateContent?alt=sse",
    "cohere": "/v2/chat",
}


def stream_of(dialect: Dialect, text: str, **more: Any) -> bytes:
    path = PATHS[dialect]
    writer = writer_for(dialect, APIS[dialect].target(b"POST", path), path)
    assert writer is not None
    answer = Answer(text, "m", "1", 0, Usage(input=3, output=2), include_usage=True, **more)
    return b"".join(writer.stream(answer))


def taken(stream: TaskStream, body: bytes, step: int) -> list[Any]:
    sent = b"".join(stream.feed(body[at : at + step]) for at in range(0, len(body), step))
    return events(sent + stream.end())


def events(sent: bytes) -> list[Any]:
    found = [event.data for event in EventSplitter().feed(sent)]
    return [data.decode() if data == b"[DONE]" else json.loads(data) for data in found]


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_a_stream_becomes_a_tasks(dialect: Dialect, step: int) -> None:
    call = asked(tasks(dialect), format="json", stream=True)
    *deltas, last, done = taken(TaskStream(call, dialect, "r"), stream_of(dialect, '{"a":1}'), step)
    assert "".join(each["delta"] for each in deltas) == '{"a":1}'
    assert done == "[DONE]"
    assert (last["output"], last["valid"], last["finish_reason"]) == ({"a": 1}, True, "stop")
    assert last["usage"] == {"input_tokens": 3, "output_tokens": 2}
    assert last["model"] == (None if dialect == "cohere" else "m")


def test_a_stream_that_is_not_in_its_format_says_so() -> None:
    call = asked(tasks(), format="json", stream=True)
    _, last, done = taken(TaskStream(call, "openai", "r"), stream_of("openai", "no"), 9)
    assert (last["output"], last["valid"], done) == ("no", False, "[DONE]")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'data: {"error":{"message":"M","code":"c","type":"server_error"}}\n\n', "c"),
        (b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n', "stream_error"),
        (b"", "stream_error"),
    ],
)
def test_a_stream_that_fails_ends_with_an_error(body: bytes, code: str) -> None:
    stream = TaskStream(asked(tasks(), stream=True), "openai", "r")
    last = taken(stream, body, 5)[-1]
    assert last["error"]["code"] == code
    assert (stream.feed(b"data: [DONE]\n\n"), stream.end()) == (b"", b"")


def test_an_answer_without_end_is_cut() -> None:
    stream = TaskStream(asked(tasks(), stream=True), "openai", "r")
    event = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"a" * 100_000)
    sent = b"".join(stream.feed(event) for _ in range(MOST // 100_000 + 5))
    assert events(sent)[-1]["error"]["code"] == "bad_output"
    assert len(events(sent)) < MOST // 100_000 + 4
