"""Anthropic's messages (https://docs.anthropic.com/en/api/messages-streaming)."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from sidecar.simulate.answer import Message, Stream, Whole, decode, encode, event, prompt_of
from sidecar.simulate.text import count_tokens, flatten, identify, say


class MessagesRequest(Struct):
    """The fields that change a simulated reply."""

    model: str
    messages: Annotated[list[Message], Meta(min_length=1)]
    max_tokens: Annotated[int, Meta(ge=1)]
    system: Any = None
    stream: bool | None = None


def answer_messages(raw: bytes, _default_tokens: int) -> Whole | Stream:
    """The reply to `POST /v1/messages`, whose callers always say how long it may be."""
    request = decode(raw, MessagesRequest)
    words = say(flatten(request.messages[-1].content), request.max_tokens)
    prompt = count_tokens(f"{flatten(request.system)} {prompt_of(request.messages)}")
    message = {
        "id": identify(raw, "msg_"),
        "type": "message",
        "role": "assistant",
        "model": request.model,
    }
    if request.stream:
        return _stream(message, words, prompt)
    body = {
        **message,
        "content": [{"type": "text", "text": "".join(words)}],
        "stop_reason": "max_tokens",
        "stop_sequence": None,
        "usage": _usage(prompt, len(words)),
    }
    return Whole(encode(body), prompt, len(words))


def _usage(prompt: int, output: int) -> dict[str, int]:
    return {
        "input_tokens": prompt,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output,
    }


def _stream(message: dict[str, Any], words: list[str], prompt: int) -> Stream:
    started = {
        **message,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(prompt, 1),
    }
    opening: tuple[dict[str, Any], ...] = (
        {"type": "message_start", "message": started},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
    )
    closing: tuple[dict[str, Any], ...] = (
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "max_tokens", "stop_sequence": None},
            "usage": {"output_tokens": len(words)},
        },
        {"type": "message_stop"},
    )
    return Stream(
        b"".join(map(event, opening)),
        (_delta(word) for word in words),
        b"".join(map(event, closing)),
        prompt,
        len(words),
    )


def _delta(word: str) -> bytes:
    delta = {"type": "text_delta", "text": word}
    return event({"type": "content_block_delta", "index": 0, "delta": delta})
