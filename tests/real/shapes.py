"""Replies in the shapes that providers document, and a server that gives them."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from scripted import Exchange

Event = tuple[str | None, Any]
"""Its name, if it has one, and its data."""


class Used(NamedTuple):
    """Tokens, as the sidecar's access log has them."""

    input: int
    cached: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0


def of_openai(usage: dict[str, Any]) -> Used:
    """What an SDK of OpenAI's reports."""
    into = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    out = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    return Used(
        usage.get("prompt_tokens", usage.get("input_tokens")) or 0,
        into.get("cached_tokens") or 0,
        into.get("cache_write_tokens") or 0,
        usage.get("completion_tokens", usage.get("output_tokens")) or 0,
        out.get("reasoning_tokens") or 0,
    )


def of_anthropic(usage: dict[str, Any]) -> Used:
    """The same of Anthropic's, whose three kinds of input do not overlap."""
    cached = usage.get("cache_read_input_tokens") or 0
    written = usage.get("cache_creation_input_tokens") or 0
    thought = (usage.get("output_tokens_details") or {}).get("thinking_tokens") or 0
    return Used(
        usage["input_tokens"] + cached + written, cached, written, usage["output_tokens"], thought
    )


def of_gemini(usage: dict[str, Any]) -> Used:
    """The same of Google's, where thoughts are no part of the candidates."""
    thoughts = usage.get("thoughts_token_count") or 0
    tools = usage.get("tool_use_prompt_token_count") or 0
    made = usage.get("candidates_token_count") or 0
    cached = usage.get("cached_content_token_count") or 0
    return Used(usage["prompt_token_count"] + tools, cached, 0, made + thoughts, thoughts)


# -- OpenAI --

_USAGE: Final = {
    "prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50,
    "prompt_tokens_details": {"cached_tokens": 10, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 7, "audio_tokens": 0,
        "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
    },
}  # fmt: skip
_MADE: Final = {
    "id": "chatcmpl-1", "created": 1764200000, "model": "gpt-5.1-2025-11-13",
    "service_tier": "default", "system_fingerprint": "fp_1",
}  # fmt: skip
TEXTS: Final = ("Hel", "lo", ' "error": [DONE]', "\n\ndata: x", " \u2028é😀", "!")
CHAT: Final = {
    **_MADE,
    "object": "chat.completion",
    "choices": [{
        "index": 0, "logprobs": None, "finish_reason": "stop",
        "message": {
            "role": "assistant", "content": "".join(TEXTS), "refusal": None, "annotations": [],
        },
    }],
    "usage": _USAGE,
}  # fmt: skip


def _chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {**_MADE, "object": "chat.completion.chunk", "choices": [choice], "obfuscation": "a1"}


_FILTERED: Final = {
    "choices": [], "created": 0, "id": "", "model": "", "object": "",
    "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}],
}  # fmt: skip


def chat_stream(asks_usage: bool) -> list[Event]:
    """The events of a chat, with Azure's first one, and the usage only if that is asked for."""
    chunks = [
        _FILTERED,
        _chunk({"role": "assistant", "content": "", "refusal": None}),
        *(_chunk({"content": text}) for text in TEXTS),
        _chunk({}, "stop"),
    ]
    told = {**_MADE, "object": "chat.completion.chunk", "choices": [], "usage": _USAGE}
    if asks_usage:
        chunks = [*({**chunk, "usage": None} for chunk in chunks), told]
    return [*((None, chunk) for chunk in chunks), (None, "[DONE]")]


def _completion(text: str, finish: str | None, **more: Any) -> dict[str, Any]:
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
    return {**_MADE, "object": "text_completion", "choices": [choice], **more}


_RESPONSE: Final[dict[str, Any]] = {
    "id": "resp_1", "object": "response", "created_at": 1764200000, "status": "in_progress",
    "error": None, "incomplete_details": None, "instructions": None, "model": "gpt-5.1",
    "output": [], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
    "temperature": 1.0, "top_p": 1.0, "metadata": {}, "usage": None,
}  # fmt: skip
_PART: Final = {"type": "output_text", "text": "".join(TEXTS), "annotations": []}
_ITEM: Final = {
    "id": "msg_1", "type": "message", "status": "completed", "role": "assistant",
    "content": [_PART],
}  # fmt: skip
RESPONSE: Final = {
    **_RESPONSE,
    "status": "completed",
    "output": [_ITEM],
    "usage": {
        "input_tokens": 30, "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 5},
        "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 7}, "total_tokens": 50,
    },
}  # fmt: skip


def _response_stream() -> list[Event]:
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    item = {**_ITEM, "status": "in_progress", "content": []}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": _RESPONSE},
        {"type": "response.in_progress", "response": _RESPONSE},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **at, "part": {**_PART, "text": ""}},
        *(
            {"type": "response.output_text.delta", **at, "delta": text, "logprobs": []}
            for text in TEXTS
        ),
        {"type": "response.output_text.done", **at, "text": _PART["text"], "logprobs": []},
        {"type": "response.content_part.done", **at, "part": _PART},
        {"type": "response.output_item.done", "output_index": 0, "item": _ITEM},
        {"type": "response.completed", "response": RESPONSE},
    ]
    return [(e["type"], {**e, "sequence_number": n}) for n, e in enumerate(events)]


EMBEDDINGS: Final = {
    "object": "list", "model": "text-embedding-3-small",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}],
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}  # fmt: skip

# -- Anthropic --

_TOLD: Final = {
    "input_tokens": 4, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 6,
    "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 1, "service_tier": "standard",
}  # fmt: skip
_THOUGHT: Final = {"type": "thinking", "thinking": "hm, so", "signature": "c2ln"}
MESSAGE: Final = {
    "id": "msg_01", "type": "message", "role": "assistant", "model": "claude-opus-4-5",
    "content": [_THOUGHT, {"type": "text", "text": "".join(TEXTS)}],
    "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {**_TOLD, "output_tokens": 12, "output_tokens_details": {"thinking_tokens": 7}},
}  # fmt: skip


def _message_stream() -> list[Event]:
    def deltas(index: int, kind: str, name: str, texts: Sequence[str]) -> list[dict[str, Any]]:
        return [
            {"type": "content_block_delta", "index": index, "delta": {"type": kind, name: text}}
            for text in texts
        ]

    start = {**MESSAGE, "content": [], "stop_reason": None, "usage": _TOLD}
    thinking = {"type": "thinking", "thinking": "", "signature": ""}
    text = {"type": "text", "text": ""}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": thinking},
        {"type": "ping"},
        *deltas(0, "thinking_delta", "thinking", ("hm,", " so")),
        *deltas(0, "signature_delta", "signature", ("c2ln",)),
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": text},
        *deltas(1, "text_delta", "text", TEXTS),
        {"type": "content_block_stop", "index": 1},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 12, "output_tokens_details": {"thinking_tokens": 7}},
        },
        {"type": "message_stop"},
    ]
    return [(event["type"], event) for event in events]


# -- Gemini --


def _generated(text: str, finish: str | None = None, **usage: int) -> dict[str, Any]:
    candidate: dict[str, Any] = {
        "content": {"parts": [{"text": text}], "role": "model"}, "index": 0,
    }  # fmt: skip
    if finish:
        candidate["finishReason"] = finish
    counts = {"promptTokenCount": 8, "totalTokenCount": 8 + sum(usage.values()), **usage}
    return {
        "candidates": [candidate], "usageMetadata": counts, "modelVersion": "gemini-3-pro",
        "responseId": "r1",
    }  # fmt: skip


_COUNTS: Final = {
    "candidatesTokenCount": 5, "thoughtsTokenCount": 7, "toolUsePromptTokenCount": 3,
    "cachedContentTokenCount": 2,
}  # fmt: skip
GENERATED: Final = _generated("".join(TEXTS), "STOP", **_COUNTS)
_GENERATED_STREAM: Final[list[Event]] = [
    *((None, _generated(text, candidatesTokenCount=n)) for n, text in enumerate(TEXTS)),
    (None, _generated(".", "STOP", **_COUNTS)),
]
EMBEDDED: Final = {"embeddings": [{"values": [0.25, -0.5]}]}


# -- the server --


def answer(exchange: Exchange) -> None:
    """Play the provider whose path was asked for; packed, if that is accepted."""
    path = exchange.target.partition("?")[0]
    asked = json.loads(exchange.body or b"{}")
    packed = "gzip" in (exchange.header("accept-encoding") or "")
    if asked.get("stream") or path.endswith(":streamGenerateContent"):
        _stream(exchange, _events(path, asked), packed)
        return
    body = json.dumps(_whole(path)).encode()
    head = [("content-type", "application/json"), ("x-request-id", "req_1")]
    if packed:
        body = gzip.compress(body)
        head.append(("content-encoding", "gzip"))
    exchange.head(200, head, length=len(body))
    exchange.chunk(body)
    exchange.end()


def _whole(path: str) -> object:
    ends = {
        "/chat/completions": CHAT,
        "/completions": _completion("".join(TEXTS), "stop", usage=_USAGE),
        "/responses": RESPONSE,
        "/embeddings": EMBEDDINGS,
        "/messages": MESSAGE,
        ":generateContent": GENERATED,
        ":batchEmbedContents": EMBEDDED,
        ":embedContent": {"embedding": EMBEDDED["embeddings"][0]},
    }
    return next(body for end, body in ends.items() if path.endswith(end))


def _events(path: str, asked: dict[str, Any]) -> list[Event]:
    asks_usage = bool((asked.get("stream_options") or {}).get("include_usage"))
    if path.endswith("/chat/completions"):
        return chat_stream(asks_usage)
    if path.endswith("/completions"):
        usage: list[Event] = [(None, {**_completion("", None, usage=_USAGE), "choices": []})]
        texts = [_completion(text, None) for text in TEXTS]
        chunks = [*texts, _completion("", "stop")]
        told = usage if asks_usage else []
        return [*((None, chunk) for chunk in chunks), *told, (None, "[DONE]")]
    if path.endswith("/responses"):
        return _response_stream()
    return _message_stream() if path.endswith("/messages") else _GENERATED_STREAM


def _stream(exchange: Exchange, events: list[Event], packed: bool) -> None:
    pack = zlib.compressobj(wbits=31)
    exchange.sse_head([("content-encoding", "gzip")] if packed else [])
    for name, value in events:
        data = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        event = f"event: {name}\ndata: {data}\n\n" if name else f"data: {data}\n\n"
        sent = event.encode()
        exchange.chunk(pack.compress(sent) + pack.flush(zlib.Z_SYNC_FLUSH) if packed else sent)
    if packed:
        exchange.chunk(pack.flush())
    exchange.end()
