"""What is written as an answer is read as one: by the API's reader, whole and as a stream."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.answers import Answer, Writer, writer_for
from sidecar.llm.dialects import APIS, Dialect
from sidecar.llm.json_stream import JsonSplitter
from sidecar.llm.sse import EventSplitter
from sidecar.llm.texts import delta_of, text_of
from sidecar.llm.usage import Usage

GEMINI = "/v1beta/models/g:"
PATHS: list[tuple[Dialect, str]] = [
    ("openai", "/v1/chat/completions"),
    ("openai", "/v1/completions"),
    ("openai", "/v1/responses"),
    ("mistral", "/v1/chat/completions"),
    ("anthropic", "/v1/messages"),
    ("anthropic", "/v1/projects/p/locations/l/publishers/anthropic/models/c:rawPredict"),
    ("gemini", GEMINI + "generateContent"),
    ("gemini", GEMINI + "streamGenerateContent?alt=sse"),
    ("gemini", GEMINI + "streamGenerateContent"),
    ("cohere", "/v2/chat"),
]
EVERY = pytest.mark.parametrize(("dialect", "path"), PATHS)
REASONS = {
    "openai": ("stop", "length"),
    "mistral": ("stop", "length"),
    "anthropic": ("end_turn", "max_tokens"),
    "gemini": ("STOP", "MAX_TOKENS"),
    "cohere": ("COMPLETE", "MAX_TOKENS"),
}
CHATS = [(dialect, path) for dialect, path in PATHS if "completions" not in path or "chat" in path]
USAGE = Usage(input=12, output=3)


def writer(dialect: Dialect, path: str) -> Writer:
    found = writer_for(dialect, APIS[dialect].target(b"POST", path), path)
    assert found is not None
    return found


def answer(text: str = "Hello.", **more: Any) -> Answer:
    given: dict[str, Any] = {"model": "m", "id": "1f", "created": 1764200000, "usage": USAGE}
    return Answer(text, **given | more)


def reasons(dialect: Dialect, path: str) -> tuple[str, str]:
    if path.endswith("/responses"):
        return "completed", "max_output_tokens"
    return REASONS[dialect]


@EVERY
@pytest.mark.parametrize("finish", [0, 1])
def test_a_whole_answer_is_read(dialect: Dialect, path: str, finish: int) -> None:
    words = ("stop", "length")
    read = APIS[dialect].reply(writer(dialect, path).whole(answer(finish=words[finish])))
    assert read is not None
    assert read.error is None
    assert read.usage == USAGE
    assert read.finish_reasons == (reasons(dialect, path)[finish],)
    assert read.model == (None if dialect == "cohere" else "m")
    assert (read.id or "").endswith("1f")


@EVERY
@pytest.mark.parametrize("finish", [0, 1])
@pytest.mark.parametrize("text", ["Hello.", ""])
def test_a_stream_is_read(dialect: Dialect, path: str, finish: int, text: str) -> None:
    words = ("stop", "length")
    wanted = answer(text, finish=words[finish], include_usage=True)
    reader = APIS[dialect].stream()
    for event in writer(dialect, path).stream(wanted):
        reader.feed(event)
    assert reader.finish("ended") == "complete"
    assert reader.terminal
    assert reader.usage == (USAGE if dialect != "anthropic" else Usage(input=12, output=3))
    assert reader.finish_reasons == (reasons(dialect, path)[finish],)
    assert reader.model == (None if dialect == "cohere" else "m")
    assert (reader.response_id or "").endswith("1f")
    assert not reader.unknown


@pytest.mark.parametrize(("dialect", "path"), [c for c in CHATS if "responses" not in c[1]])
@given(text=st.text())
def test_its_text_is_what_it_says(dialect: Dialect, path: str, text: str) -> None:
    writes = writer(dialect, path)
    try:
        whole = writes.whole(answer(text))
    except UnicodeEncodeError:  # half of a surrogate pair, which no JSON has
        return
    assert text_of(dialect, whole) == text
    body = b"".join(writes.stream(answer(text)))
    if body.startswith(b"["):
        events = JsonSplitter().feed(body)
    else:
        events = [event.data for event in EventSplitter().feed(body)]
    assert "".join(delta_of(dialect, event) for event in events) == text


def test_the_usage_of_an_openai_stream_is_there_if_it_was_asked_for() -> None:
    for path in ("/v1/chat/completions", "/v1/completions"):
        writes = writer("openai", path)
        assert b"usage" not in b"".join(writes.stream(answer()))
        assert b'"total_tokens":15' in writes.stream(answer(include_usage=True))[-2]


@EVERY
def test_a_stream_has_the_type_that_its_api_gives_it(dialect: Dialect, path: str) -> None:
    writes = writer(dialect, path)
    array = writes.stream(answer())[0].startswith(b"[")
    assert writes.stream_type.startswith(b"application/json" if array else b"text/event-stream")


@pytest.mark.parametrize(
    ("dialect", "path"),
    [
        ("openai", "/v1/embeddings"),
        ("openai", "/v1/files"),
        ("anthropic", "/v1/messages/count_tokens"),
        ("anthropic", "/model/m/invoke-with-response-stream"),
        ("anthropic", "/model/m/converse"),
        ("gemini", GEMINI + "embedContent"),
        ("cohere", "/v1/chat"),
        ("mistral", "/v1/responses"),
    ],
)
def test_what_is_not_written(dialect: Dialect, path: str) -> None:
    assert writer_for(dialect, APIS[dialect].target(b"POST", path), path) is None


@pytest.mark.parametrize(
    ("dialect", "body", "text"),
    [
        ("openai", b'{"choices":[{"message":{"content":null,"tool_calls":[]}}]}', None),
        ("openai", b'{"choices":[]}', None),
        ("openai", b"[1]", None),
        ("openai", b"no JSON", None),
        (
            "mistral",
            b'{"choices":[{"message":{"content":[{"type":"thinking"},'
            b'{"type":"text","text":"a"}]}}]}',
            "a",
        ),
        (
            "anthropic",
            b'{"content":[{"type":"thinking","thinking":"t"},{"type":"text","text":"a"},'
            b'{"type":"tool_use"},{"type":"text","text":"b"}]}',
            "ab",
        ),
        (
            "gemini",
            b'{"candidates":[{"content":{"parts":[{"text":"t","thought":true},{"text":"a"}]}}]}',
            "a",
        ),
        ("gemini", b'{"promptFeedback":{"blockReason":"SAFETY"}}', None),
    ],
)
def test_only_what_is_said_is_the_text(dialect: Dialect, body: bytes, text: str | None) -> None:
    assert text_of(dialect, body) == text
