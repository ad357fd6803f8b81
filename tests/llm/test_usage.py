"""Tokens of whole replies, in one form for all APIs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sidecar.llm.dialects import APIS, Dialect
from sidecar.llm.dialects.bedrock import usage_in_fields
from sidecar.llm.usage import Usage, added
from tests.llm.streams import (
    GEMINI_CHUNKS,
    GEMINI_USED,
    OPENAI_USAGE,
    PLAIN_USAGE,
    PLAIN_USED,
    RESPONSES_USAGE,
    USED,
)

MESSAGE = {
    "id": "msg_01",
    "type": "message",
    "model": "claude-opus-4-5",
    "stop_reason": "end_turn",
    "content": [],
    "usage": {
        "input_tokens": 4,
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 6,
        "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 12,
        "output_tokens_details": {"thinking_tokens": 7},
        "server_tool_use": {"web_search_requests": 1},
        "service_tier": "standard",
    },
}
CONVERSE = {
    "output": {"message": {}},
    "stopReason": "end_turn",
    "usage": {
        "inputTokens": 4,
        "outputTokens": 12,
        "totalTokens": 27,
        "cacheReadInputTokens": 6,
        "cacheWriteInputTokens": 5,
    },
}
CASES: list[tuple[Dialect, Any, Usage | None]] = [
    ("openai", {"object": "chat.completion", "usage": OPENAI_USAGE}, USED),
    ("openai", {"object": "response", "usage": RESPONSES_USAGE}, USED),
    ("openai", {"object": "list", "usage": {"prompt_tokens": 8, "total_tokens": 8}}, Usage(8)),
    ("openai", {"usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}}, PLAIN_USED),
    ("openai", {"usage": {**PLAIN_USAGE, "prompt_tokens_details": None}}, PLAIN_USED),
    ("openai", {"usage": {"prompt_tokens": 3.0, "completion_tokens": 2}}, PLAIN_USED),
    ("openai", {"usage": {"prompt_tokens": "3", "completion_tokens": True}}, Usage()),
    ("openai", {"usage": {"prompt_tokens": -1, "completion_tokens": 10**30}}, Usage()),
    ("openai", {"usage": {"prompt_tokens": 1e400}}, None),
    ("openai", {"usage": None}, None),
    ("openai", {"usage": {}}, None),
    ("openai", {"object": "response.input_tokens", "input_tokens": 8}, None),
    ("mistral", {"usage": PLAIN_USAGE}, PLAIN_USED),
    ("anthropic", MESSAGE, Usage(15, cached=6, cache_write=5, output=12, reasoning=7)),
    ("anthropic", {"usage": {"input_tokens": 3, "output_tokens": 2}}, PLAIN_USED),
    ("anthropic", {"input_tokens": 8}, None),
    ("anthropic", CONVERSE, Usage(15, cached=6, cache_write=5, output=12)),
    ("gemini", GEMINI_CHUNKS[-1], GEMINI_USED),
    ("gemini", list(GEMINI_CHUNKS), GEMINI_USED),
    ("gemini", {"usageMetadata": {"promptTokenCount": 3, "toolUsePromptTokenCount": 4}}, Usage(7)),
    ("gemini", {"embeddings": [{"values": [0.1]}]}, None),
    (
        "cohere",
        {"usage": {"tokens": {"input_tokens": 3.0, "output_tokens": 2.0}, "cached_tokens": 1.0}},
        Usage(3, cached=1, output=2),
    ),
]


@pytest.mark.parametrize(("dialect", "body", "usage"), CASES)
def test_usage(dialect: Dialect, body: Any, usage: Usage | None) -> None:
    reply = APIS[dialect].reply(json.dumps(body).encode())
    assert (reply.usage if reply else None) == usage


@pytest.mark.parametrize("dialect", list(APIS))
@pytest.mark.parametrize("body", [b"", b"<html>", b"1", b"[]", b"[[]]", b'"x"', b"\xff", b"{"])
def test_what_is_no_reply(dialect: Dialect, body: bytes) -> None:
    assert APIS[dialect].reply(body) is None


@pytest.mark.parametrize(
    ("fields", "usage"),
    [
        ({"input": b"4", "output": b"12", "cache-read-input": b"6", "cache-write-input": b"5"},
         Usage(15, cached=6, cache_write=5, output=12)),
        ({"input": b"4", "output": b"12"}, Usage(4, output=12)),
        ({"input": b"x", "output": b"9" * 16}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_bedrock_counts_in_fields(fields: dict[str, bytes], usage: Usage | None) -> None:
    named = {f"x-amzn-bedrock-{name}-token-count".encode(): n for name, n in fields.items()}
    assert usage_in_fields(named) == usage


@pytest.mark.parametrize(
    ("dialect", "body", "told"),
    [
        (
            "openai",
            {"id": "c1", "model": "m", "choices": [{"finish_reason": "stop"}, {}]},
            ("m", "c1", ("stop",)),
        ),
        (
            "openai",
            {"id": "r1", "object": "response", "model": "m", "status": "completed"},
            ("m", "r1", ("completed",)),
        ),
        (
            "openai",
            {
                "object": "response",
                "status": "incomplete",
                "incomplete_details": {"reason": "max_output_tokens"},
            },
            (None, None, ("max_output_tokens",)),
        ),
        ("openai", {"id": "x" * 5000, "model": 1}, (None, None, ())),
        ("anthropic", MESSAGE, ("claude-opus-4-5", "msg_01", ("end_turn",))),
        ("anthropic", CONVERSE, (None, None, ("end_turn",))),
        ("gemini", GEMINI_CHUNKS[-1], ("gemini-3-pro", "r1", ("STOP",))),
        (
            "gemini",
            {"candidates": [{"finishReason": "FINISH_REASON_UNSPECIFIED"}]},
            (None, None, ()),
        ),
        ("gemini", {"promptFeedback": {"blockReason": "SAFETY"}}, (None, None, ("SAFETY",))),
        ("cohere", {"id": "c1", "finish_reason": "COMPLETE"}, (None, "c1", ("COMPLETE",))),
    ],
)
def test_what_else_a_reply_tells(dialect: Dialect, body: Any, told: tuple[object, ...]) -> None:
    reply = APIS[dialect].reply(json.dumps(body).encode())
    assert reply is not None
    assert (reply.model, reply.id, reply.finish_reasons) == told
    assert reply.error is None


@pytest.mark.parametrize(
    ("dialect", "body", "kind", "status"),
    [
        ("openai", {"error": {"message": "m", "code": "rate_limit_exceeded"}}, "rate_limit", 429),
        ("openai", [{"error": {"code": 503, "status": "UNAVAILABLE"}}], "overload", 503),
        ("mistral", {"object": "error", "message": "m", "type": "x"}, "server", 500),
        ("anthropic", {"type": "error", "error": {"type": "overloaded_error"}}, "overload", 529),
        ("gemini", {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}, "rate_limit", 429),
    ],
)
def test_an_error_whose_status_says_otherwise(
    dialect: Dialect, body: Any, kind: str, status: int
) -> None:
    reply = APIS[dialect].reply(json.dumps(body).encode())
    assert reply is not None
    assert reply.error is not None
    assert (reply.error.kind, reply.error.status) == (kind, status)


def test_sums() -> None:
    one = Usage(input=1, cached=2, cache_write=3, output=4, reasoning=5)
    other = Usage(input=10, cached=20, cache_write=30, output=40, reasoning=50, estimated=True)
    both = Usage(input=11, cached=22, cache_write=33, output=44, reasoning=55, estimated=True)
    assert added(one, other) == added(other, one) == both
    assert not added(one, one).estimated
