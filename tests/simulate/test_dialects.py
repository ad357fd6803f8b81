"""The bodies of each API, without a server. Real SDKs parse them in `make test-real`."""

import base64
import json
import struct
from typing import Any

import pytest

from sidecar.simulate.answer import BadRequestError, Stream, Whole
from sidecar.simulate.chat import answer_chat
from sidecar.simulate.embeddings import answer_embeddings
from sidecar.simulate.endpoint import Build
from sidecar.simulate.messages import answer_messages
from sidecar.simulate.responses import answer_responses

HI = [{"role": "user", "content": "hi"}]


def whole(build: Build, **fields: Any) -> dict[str, Any]:
    answer = build(json.dumps({"model": "m", **fields}).encode(), 4)
    assert isinstance(answer, Whole)
    body: dict[str, Any] = json.loads(answer.body)
    return body


def stream(build: Build, **fields: Any) -> list[tuple[str | None, Any]]:
    """The events (name, data); `[DONE]` stays text."""
    answer = build(json.dumps({"model": "m", "stream": True, **fields}).encode(), 4)
    assert isinstance(answer, Stream)
    text = b"".join((answer.opening, *answer.deltas, answer.closing)).decode()
    assert text.endswith("\n\n")
    return [parse(block) for block in text[:-2].split("\n\n")]


def parse(block: str) -> tuple[str | None, Any]:
    fields = dict(line.split(": ", 1) for line in block.split("\n"))
    data = fields.pop("data")
    name = fields.pop("event", None)
    assert not fields
    return name, data if data == "[DONE]" else json.loads(data)


def test_chat_ends_where_its_limit_is() -> None:
    free = whole(answer_chat, messages=HI)
    assert free["choices"][0]["message"]["content"] == "You said: hi You "
    assert free["choices"][0]["finish_reason"] == "stop"
    limited = whole(answer_chat, messages=HI, max_tokens=9, max_completion_tokens=2)
    assert limited["choices"][0]["message"]["content"] == "You said: "
    assert limited["choices"][0]["finish_reason"] == "length"
    assert limited["usage"] == {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def test_chat_stream_has_role_text_finish_usage_done() -> None:
    events = stream(answer_chat, messages=HI, stream_options={"include_usage": True})
    *chunks, usage, (_, done) = events
    deltas = [data["choices"][0]["delta"] for _, data in chunks]
    assert deltas[0]["role"] == "assistant"
    assert "".join(delta["content"] for delta in deltas[1:-1]) == "You said: hi You "
    assert (deltas[-1], chunks[-1][1]["choices"][0]["finish_reason"]) == ({}, "stop")
    assert usage[1]["choices"] == []
    assert usage[1]["usage"]["completion_tokens"] == 4
    assert all(data["usage"] is None for _, data in chunks)
    assert done == "[DONE]"


def test_chat_stream_has_usage_only_when_asked() -> None:
    *chunks, (_, done) = stream(answer_chat, messages=HI)
    assert done == "[DONE]"
    assert not any("usage" in data for _, data in chunks)


def test_responses_stream_in_the_real_order() -> None:
    events = stream(answer_responses, input="hi")
    assert [name for name, _ in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * 4,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [data["sequence_number"] for _, data in events] == list(range(12))
    assert all(data["type"] == name for name, data in events)
    final = events[-1][1]["response"]
    assert final["output"][0]["content"][0]["text"] == "You said: hi You "
    assert final == whole(answer_responses, input="hi") | {
        "id": final["id"],
        "output": final["output"],
    }


def test_responses_that_reach_their_limit_are_incomplete() -> None:
    name, data = stream(answer_responses, input=HI, max_output_tokens=2)[-1]
    assert name == "response.incomplete"
    assert data["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert data["response"]["usage"]["output_tokens"] == 2


def test_messages_stream_in_the_real_order() -> None:
    events = stream(answer_messages, messages=HI, max_tokens=3, system="be brief")
    assert [name for name, _ in events] == [
        "message_start",
        "content_block_start",
        "ping",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    body = whole(answer_messages, messages=HI, max_tokens=3, system="be brief")
    text = "".join(d["delta"]["text"] for n, d in events if n == "content_block_delta")
    assert text == body["content"][0]["text"] == "You said: hi "
    assert body["usage"]["input_tokens"] == events[0][1]["message"]["usage"]["input_tokens"]
    assert body["usage"]["output_tokens"] == events[-2][1]["usage"]["output_tokens"] == 3


def test_embeddings_are_unit_vectors_in_either_encoding() -> None:
    floats = whole(answer_embeddings, input=["a", "b"])["data"]
    encoded = whole(answer_embeddings, input=["a", "b"], encoding_format="base64")["data"]
    for index, (row, other) in enumerate(zip(floats, encoded, strict=True)):
        assert row["index"] == index
        assert sum(x * x for x in row["embedding"]) == pytest.approx(1.0)
        raw = base64.b64decode(other["embedding"])
        assert list(struct.unpack("<64f", raw)) == row["embedding"]
    assert floats[0]["embedding"] != floats[1]["embedding"]


@pytest.mark.parametrize(
    ("given", "count"), [("a", 1), (["a", "a"], 2), ([1, 2], 1), ([[1], [2], [3]], 3)]
)
def test_embeddings_take_texts_and_tokens(given: object, count: int) -> None:
    rows = whole(answer_embeddings, input=given, dimensions=8)["data"]
    assert [len(row["embedding"]) for row in rows] == [8] * count


@pytest.mark.parametrize("build", [answer_chat, answer_responses, answer_messages])
def test_the_same_request_gets_the_same_bytes(build: Build) -> None:
    raw = json.dumps({"model": "m", "messages": HI, "input": "hi", "max_tokens": 3}).encode()
    assert build(raw, 4) == build(raw, 4)


@pytest.mark.parametrize(
    ("build", "raw"),
    [
        (answer_chat, b""),
        (answer_chat, b"{"),
        (answer_chat, b'{"model": "\xff"}'),
        (answer_chat, b"[" * 100_000),
        (answer_chat, b'{"messages": [{"role": "user"}]}'),
        (answer_chat, b'{"model": "m"}'),
        (answer_chat, b'{"model": "m", "messages": []}'),
        (answer_chat, b'{"model": "m", "messages": [{"role": "user"}], "max_tokens": 0}'),
        (answer_chat, b'{"model": "m", "messages": [{"role": "user", "content": ' + b"[" * 10**5),
        (answer_messages, b'{"model": "m", "messages": [{"role": "user"}]}'),
        (answer_responses, b'{"model": "m"}'),
        (answer_responses, b'{"model": "m", "input": []}'),
        (answer_embeddings, b'{"model": "m", "input": []}'),
        (answer_embeddings, b'{"model": "m", "input": ""}'),
        (answer_embeddings, b'{"model": "m", "input": ["a", 1]}'),
        (answer_embeddings, b'{"model": "m", "input": "a", "dimensions": 9999999}'),
    ],
)
def test_bad_requests_are_told_so(build: Build, raw: bytes) -> None:
    with pytest.raises(BadRequestError, match=r"Invalid request body: \S"):
        build(raw, 4)
