"""What is read of a reply, wherever its bytes are split, and whether they are packed or not."""

from __future__ import annotations

import gzip
import json
from typing import Any, Final, NamedTuple

import pytest

from sidecar.http.fields import Fields
from sidecar.http.headers import REPLY_FIELDS
from sidecar.http.message import ResponseHead
from sidecar.llm.dialects import APIS, Dialect
from sidecar.llm.usage import Usage
from sidecar.proxy.exchange.reading import ReplyReader, Said
from tests.llm.streams import (
    GEMINI_CHUNKS,
    GEMINI_USED,
    OPENAI_USAGE,
    PLAIN_USAGE,
    PLAIN_USED,
    RESPONSES_USAGE,
    STREAMS,
    USED,
)


class Whole(NamedTuple):
    """A reply in one piece, in its documented shape."""

    dialect: Dialect
    body: dict[str, Any]
    said: Said
    total: int | None = None
    """All tokens, where the API sums them up."""


def _chat(model: str, usage: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": 'say "usage": {}', "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1764200000, "model": model,
        "choices": [choice], "usage": usage, "service_tier": "default",
    }  # fmt: skip


def _said(usage: Usage | None, model: str | None, identity: str | None, *finish: str) -> Said:
    return Said("complete", usage, model, identity, finish)


_COUNTS: Final = {"inputTokens": 4, "outputTokens": 12, "totalTokens": 27}
REPLIES: Final[dict[str, Whole]] = {
    "chat": Whole(
        "openai", _chat("gpt-5.1", OPENAI_USAGE), _said(USED, "gpt-5.1", "chatcmpl-1", "stop"), 50
    ),
    "chat of Azure": Whole(
        "openai",
        {**_chat("gpt-5.1", PLAIN_USAGE), "prompt_filter_results": [{"prompt_index": 0}]},
        _said(PLAIN_USED, "gpt-5.1", "chatcmpl-1", "stop"), 5,
    ),
    "chat of Mistral": Whole(
        "mistral", _chat("mistral-small", PLAIN_USAGE),
        _said(PLAIN_USED, "mistral-small", "chatcmpl-1", "stop"), 5,
    ),
    "completions": Whole(
        "openai",
        {
            "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m",
            "choices": [{"text": "x", "index": 0, "logprobs": None, "finish_reason": "length"}],
            "usage": PLAIN_USAGE,
        },
        _said(PLAIN_USED, "m", "cmpl-1", "length"), 5,
    ),
    "responses": Whole(
        "openai",
        {
            "id": "resp_1", "object": "response", "status": "completed", "model": "gpt-5.1",
            "error": None, "incomplete_details": None, "usage": RESPONSES_USAGE,
            "output": [{"type": "message", "content": [{"type": "output_text", "text": "x"}]}],
        },
        _said(USED, "gpt-5.1", "resp_1", "completed"), 50,
    ),
    "embeddings": Whole(
        "openai",
        {
            "object": "list", "model": "text-embedding-3-small",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}],
            "usage": {"prompt_tokens": 8, "total_tokens": 8},
        },
        _said(Usage(8), "text-embedding-3-small", None), 8,
    ),
    "messages": Whole(
        "anthropic",
        {
            "id": "msg_01", "type": "message", "role": "assistant", "model": "claude-opus-4-5",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                {"type": "text", "text": "hello"},
            ],
            "stop_reason": "end_turn", "stop_sequence": None,
            "usage": {
                "input_tokens": 4, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 6,
                "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 0},
                "output_tokens": 12, "output_tokens_details": {"thinking_tokens": 7},
                "service_tier": "standard",
            },
        },
        _said(
            Usage(4 + 5 + 6, cached=6, cache_write=5, output=12, reasoning=7),
            "claude-opus-4-5", "msg_01", "end_turn",
        ),
    ),
    "converse": Whole(
        "anthropic",
        {
            "output": {"message": {"role": "assistant", "content": [{"text": "x"}]}},
            "stopReason": "end_turn", "metrics": {"latencyMs": 200},
            "usage": {**_COUNTS, "cacheReadInputTokens": 6, "cacheWriteInputTokens": 5},
        },
        _said(Usage(15, cached=6, cache_write=5, output=12), None, None, "end_turn"), 27,
    ),
    "generateContent": Whole(
        "gemini", GEMINI_CHUNKS[-1], _said(GEMINI_USED, "gemini-3-pro", "r1", "STOP"), 20
    ),
    "embedContent": Whole(
        "gemini", {"embedding": {"values": [0.25, -0.5]}}, _said(None, None, None)
    ),
    "chat of Cohere": Whole(
        "cohere",
        {
            "id": "c1", "finish_reason": "COMPLETE",
            "message": {"role": "assistant", "content": [{"type": "text", "text": "x"}]},
            "usage": {
                "billed_units": {"input_tokens": 3, "output_tokens": 2},
                "tokens": {"input_tokens": 3.0, "output_tokens": 2.0}, "cached_tokens": 1.0,
            },
        },
        _said(Usage(3, cached=1, output=2), None, "c1", "COMPLETE"),
    ),
}  # fmt: skip
"""From the providers' references and their SDKs' types, for each operation whose reply is read."""


def head(kind: bytes, coding: bytes | None = None, more: bytes = b"") -> ResponseHead:
    made = ResponseHead()
    made.status, made.body = 200, -1
    lines = b"\r\nContent-Type: " + kind + more
    if coding is not None:
        lines += b"\r\nContent-Encoding: " + coding
    made.fields = Fields(lines, REPLY_FIELDS)
    return made


def said(dialect: Dialect, kind: bytes, coding: bytes | None, *pieces: bytes) -> Said:
    reader = ReplyReader(APIS[dialect], None, streams=False)
    reading = reader.begin(head(kind, coding))
    assert reading is not None
    for piece in pieces:
        reading.feed(piece)
    return reading.end("ended", 0.0)


def splits(body: bytes) -> list[tuple[bytes, ...]]:
    """In two, at every byte; and byte by byte."""
    bytewise = tuple(body[at : at + 1] for at in range(len(body)))
    return [bytewise, *((body[:at], body[at:]) for at in range(1, len(body)))]


@pytest.mark.parametrize("coding", [None, b"gzip"])
@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_in_one_piece(name: str, coding: bytes | None) -> None:
    dialect, body, expected, total = REPLIES[name]
    data = json.dumps(body).encode()
    data = gzip.compress(data) if coding else data
    for pieces in splits(data):
        assert said(dialect, b"application/json", coding, *pieces) == expected
    if total is not None and expected.usage is not None:
        assert expected.usage.input + expected.usage.output == total


@pytest.mark.parametrize(
    "name",
    ["chat with usage", "chat of Azure", "responses", "anthropic", "gemini", "mistral", "cohere"],
)
def test_a_stream_that_is_packed(name: str) -> None:
    stream = STREAMS[name]
    for pieces in splits(gzip.compress(stream.body)):
        found = said(stream.dialect, b"text/event-stream", b"gzip", *pieces)
        assert (found.verdict, found.usage) == (stream.verdict, stream.usage)
        assert (found.finish_reasons, found.chunks) == (stream.finish_reasons, stream.chunks)


@pytest.mark.parametrize("body", [b'{"results":[{"outputText":"x"}]}', b'["x"]', b"x" * 300_000])
def test_the_counts_of_bedrock_are_in_fields_where_the_body_has_none(body: bytes) -> None:
    counts = b"".join(
        b"\r\nX-Amzn-Bedrock-%b-Token-Count: %d" % (name, count)
        for name, count in ((b"Input", 4), (b"Output", 12), (b"Cache-Read-Input", 6))
    )
    reader = ReplyReader(APIS["anthropic"], None, streams=False)
    reading = reader.begin(head(b"application/json", None, counts))
    assert reading is not None
    reading.feed(body)
    assert reading.end("ended", 0.0).usage == Usage(10, cached=6, output=12)
