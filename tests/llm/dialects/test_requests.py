"""What a request asks for: by its path, and by its body."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sidecar.llm.dialects import APIS, Dialect, Parameters, Target

POSTS: list[tuple[Dialect, str, Target]] = [
    ("openai", "/v1/chat/completions", Target("chat")),
    ("openai", "/v1/chat/completions/?x=1", Target("chat")),
    ("openai", "https://api.openai.com/v1/chat/completions", Target("chat")),
    ("openai", "/models/v1/chat/completions", Target("chat")),
    ("openai", "/chat/completions", Target("chat")),
    ("openai", "/v1/completions", Target("completions")),
    ("openai", "/v1/responses", Target("responses")),
    ("openai", "/v1/responses/input_tokens", Target("input_tokens")),
    ("openai", "/v1/responses/compact", Target("compact")),
    ("openai", "/v1/responses/resp_1/cancel", Target("stored_responses")),
    ("openai", "/v1/conversations", Target("conversations")),
    ("openai", "/v1/embeddings", Target("embeddings")),
    ("openai", "/v1/images/generations", Target("images")),
    ("openai", "/v1/audio/transcriptions", Target("audio")),
    ("openai", "/v1/videos", Target("videos")),
    ("openai", "/v1/files", Target("files")),
    ("openai", "/v1/batches", Target("batches")),
    ("openai", "/v1/moderations", Target("other")),
    ("openai", "/", Target("other")),
    ("openai", "", Target("other")),
    (
        "openai",
        "/openai/deployments/gpt-5/chat/completions?api-version=2025-04-01-preview",
        Target("chat", "gpt-5"),
    ),
    ("openai", "/openai/deployments/files/embeddings", Target("embeddings", "files")),
    ("openai", "/openai/deployments/d/images/generations", Target("images", "d")),
    ("openai", "/openai/v1/responses?api-version=preview", Target("responses")),
    ("mistral", "/v1/chat/completions", Target("chat")),
    ("cohere", "/v2/chat", Target("chat")),
    ("cohere", "/v2/embed", Target("embeddings")),
    ("cohere", "/v2/rerank", Target("other")),
    ("anthropic", "/v1/messages", Target("messages")),
    ("anthropic", "/v1/messages?beta=true", Target("messages")),
    ("anthropic", "/anthropic/v1/messages/count_tokens", Target("count_tokens")),
    ("anthropic", "/v1/messages/batches", Target("batches")),
    ("anthropic", "/v1/files", Target("files")),
    ("anthropic", "/v1/organizations", Target("other")),
    (
        "anthropic",
        "/v1/projects/p/locations/l/publishers/anthropic/models/claude-opus-4-5:streamRawPredict",
        Target("messages", "claude-opus-4-5", True),
    ),
    ("anthropic", "/v1/publishers/anthropic/models/c@1:rawPredict", Target("messages", "c@1")),
    (
        "anthropic",
        "/v1/publishers/anthropic/models/count-tokens:rawPredict",
        Target("count_tokens"),
    ),
    ("anthropic", "/model/us.anthropic.c-v1%3A0/invoke", Target("messages", "us.anthropic.c-v1:0")),
    ("anthropic", "/model/m/invoke-with-response-stream", Target("messages", "m", True)),
    ("anthropic", "/model/m/converse", Target("converse", "m")),
    ("anthropic", "/model/m/converse-stream", Target("converse", "m", True)),
    ("anthropic", "/model/m/count-tokens", Target("count_tokens", "m")),
    ("anthropic", "/model/m/other", Target("other")),
    ("gemini", "/v1beta/models/g:generateContent", Target("generateContent", "g")),
    (
        "gemini",
        "/v1beta/models/g:streamGenerateContent?alt=sse",
        Target("streamGenerateContent", "g", True),
    ),
    (
        "gemini",
        "/v1beta/models/g:streamGenerateContent",
        Target("streamGenerateContent", "g", True),
    ),
    ("gemini", "/v1beta/models/g:embedContent", Target("embedContent", "g")),
    ("gemini", "/v1beta/models/g:batchEmbedContents", Target("batchEmbedContents", "g")),
    ("gemini", "/v1beta/models/g:countTokens", Target("countTokens", "g")),
    ("gemini", "/v1beta/models/g:batchGenerateContent", Target("batches", "g")),
    ("gemini", "/v1beta/models/g:predict", Target("other", "g")),
    ("gemini", "/v1beta/interactions", Target("interactions")),
    ("gemini", "/upload/v1beta/files", Target("files")),
]
GETS: list[tuple[Dialect, str, Target]] = [
    ("openai", "/v1/models", Target("models")),
    ("openai", "/v1/models/org/completions", Target("models")),
    ("openai", "/v1/chat/completions", Target("other")),
    ("openai", "/v1/responses/resp_1", Target("stored_responses")),
    ("openai", "/v1/files/file-1/content", Target("files")),
    ("anthropic", "/v1/models", Target("models")),
    ("anthropic", "/v1/messages", Target("other")),
    ("anthropic", "/model/m/invoke", Target("other")),
    ("gemini", "/v1beta/models", Target("models")),
    ("gemini", "/v1beta/models/g", Target("models")),
    ("gemini", "/v1beta/models/g:generateContent", Target("models")),
    ("cohere", "/v1/models", Target("models")),
]


@pytest.mark.parametrize(
    ("method", "dialect", "path", "target"),
    [(b"POST", *case) for case in POSTS] + [(b"GET", *case) for case in GETS],
)
def test_by_the_path(method: bytes, dialect: Dialect, path: str, target: Target) -> None:
    assert APIS[dialect].target(method, path) == target


@pytest.mark.parametrize(
    ("dialect", "body", "expected"),
    [
        (
            "openai",
            {
                "max_tokens": 7, "max_completion_tokens": 8, "temperature": 1, "top_p": 0.5,
                "n": 2, "stream": True, "stream_options": {"include_usage": True},
                "reasoning_effort": "high", "prompt_cache_key": "k", "messages": [],
            },
            Parameters(
                max_tokens=8, temperature=1.0, top_p=0.5, n=2, stream=True, include_usage=True,
                reasoning="high", cache_key="k",
            ),
        ),
        (
            "openai",
            {
                "max_output_tokens": 7, "reasoning": {"effort": "low"}, "conversation": "conv_1",
                "previous_response_id": "resp_1",
            },
            Parameters(
                max_tokens=7, reasoning="low", conversation="conv_1", previous_response="resp_1"
            ),
        ),
        ("openai", {"conversation": {"id": "conv_1"}}, Parameters(conversation="conv_1")),
        (
            "openai",
            {"max_tokens": "7", "temperature": True, "n": 1.5, "stream": 1, "stream_options": 1},
            Parameters(),
        ),
        (
            "anthropic",
            {"max_tokens": 7, "temperature": 0, "top_p": 1, "top_k": 3, "stream": False},
            Parameters(max_tokens=7, temperature=0.0, top_p=1.0, top_k=3),
        ),
        ("anthropic", {"stream": True}, Parameters(stream=True)),
        (
            "gemini",
            {
                "generationConfig": {
                    "maxOutputTokens": 7, "temperature": 0.5, "topP": 1, "topK": 3,
                    "candidateCount": 2, "thinkingConfig": {"thinkingLevel": "HIGH"},
                },
                "cachedContent": "c",
            },
            Parameters(
                max_tokens=7, temperature=0.5, top_p=1.0, top_k=3, n=2, reasoning="HIGH",
                cache_key="c",
            ),
        ),
        (
            "gemini",
            {"generation_config": {"max_output_tokens": 7, "top_p": 0.5}},
            Parameters(max_tokens=7, top_p=0.5),
        ),
        ("gemini", {"generationConfig": 1}, Parameters()),
        ("cohere", {"p": 0.5, "k": 3, "stream": True}, Parameters(top_p=0.5, top_k=3, stream=True)),
    ],
)  # fmt: skip
def test_by_the_body(dialect: Dialect, body: Any, expected: Parameters) -> None:
    assert APIS[dialect].parameters(json.dumps(body).encode()) == expected


@pytest.mark.parametrize("dialect", list(APIS))
@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"\xff", b"{", b"[" * 100_000])
def test_what_is_no_body(dialect: Dialect, body: bytes) -> None:
    assert APIS[dialect].parameters(body) == Parameters()
