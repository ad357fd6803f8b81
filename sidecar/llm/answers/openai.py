"""Answers as OpenAI's chat completions and completions, which Mistral and many others share.

Source: openai-python 3.57 (`types/chat/chat_completion.py`, `chat_completion_chunk.py`,
`types/completion.py`).
"""

from __future__ import annotations

from typing import Any, Final

from sidecar.llm.answers.base import EVENTS, Answer, data, encode
from sidecar.llm.usage import Usage

_DONE: Final = b"data: [DONE]\n\n"


class ChatWriter:
    """Writes chat completions."""

    stream_type = EVENTS

    def whole(self, answer: Answer) -> bytes:
        """Return a `chat.completion`."""
        message = {"role": "assistant", "content": answer.text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish}
        common = _common(answer, "chatcmpl-", "chat.completion")
        return encode(common | {"choices": [choice], "usage": _usage(answer.usage)})

    def stream(self, answer: Answer) -> tuple[bytes, ...]:
        """Return `chat.completion.chunk`s, and `[DONE]`."""
        deltas: list[tuple[dict[str, Any], str | None]]
        deltas = [({"role": "assistant", "content": ""}, None)]
        if answer.text:
            deltas.append(({"content": answer.text}, None))
        deltas.append(({}, answer.finish))
        choices: list[list[dict[str, Any]]] = [
            [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
            for delta, finish in deltas
        ]
        return _chunks(answer, _common(answer, "chatcmpl-", "chat.completion.chunk"), choices)


class CompletionWriter:
    """Writes completions."""

    stream_type = EVENTS

    def whole(self, answer: Answer) -> bytes:
        """Return a `text_completion`."""
        common = _common(answer, "cmpl-", "text_completion")
        choices = [_choice(answer.text, answer.finish)]
        return encode(common | {"choices": choices, "usage": _usage(answer.usage)})

    def stream(self, answer: Answer) -> tuple[bytes, ...]:
        """Return the same in pieces, and `[DONE]`."""
        choices = [[_choice(answer.text, None)], [_choice("", answer.finish)]]
        return _chunks(answer, _common(answer, "cmpl-", "text_completion"), choices)


def _common(answer: Answer, prefix: str, kind: str) -> dict[str, Any]:
    return {
        "id": prefix + answer.id,
        "object": kind,
        "created": answer.created,
        "model": answer.model,
    }


def _choice(text: str, finish: str | None) -> dict[str, Any]:
    return {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}


def _chunks(
    answer: Answer, common: dict[str, Any], choices: list[list[dict[str, Any]]]
) -> tuple[bytes, ...]:
    """With its usage asked for, every chunk has the member, and only the last has numbers in it."""
    if not answer.include_usage:
        return (*(data(common | {"choices": each}) for each in choices), _DONE)
    events = [data(common | {"choices": each, "usage": None}) for each in choices]
    last = data(common | {"choices": [], "usage": _usage(answer.usage)})
    return (*events, last, _DONE)


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
