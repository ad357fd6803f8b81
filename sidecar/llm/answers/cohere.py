"""Answers as Cohere's chat, version 2. Source: its API reference; cohere-python (`v2`)."""

from __future__ import annotations

from typing import Any, Final

from sidecar.llm.answers.base import EVENTS, Answer, encode, named

_REASONS: Final = {"stop": "COMPLETE", "length": "MAX_TOKENS"}


class CohereWriter:
    """Writes chats. They do not name the model."""

    stream_type = EVENTS

    def whole(self, answer: Answer) -> bytes:
        """Return a chat."""
        content = [{"type": "text", "text": answer.text}]
        return encode({
            "id": answer.id,
            "finish_reason": _REASONS[answer.finish],
            "message": {"role": "assistant", "content": content},
            "usage": _usage(answer),
        })  # fmt: skip

    def stream(self, answer: Answer) -> tuple[bytes, ...]:
        """Return its events: one block of text."""
        empty: dict[str, Any] = {"role": "assistant", "content": [], "tool_plan": ""}
        message = empty | {"tool_calls": [], "citations": []}
        ends = {"finish_reason": _REASONS[answer.finish], "usage": _usage(answer)}
        bodies: list[dict[str, Any]] = [
            {"type": "message-start", "id": answer.id, "delta": {"message": message}},
            {"type": "content-start", "index": 0, "delta": _content({"type": "text", "text": ""})},
            {"type": "content-delta", "index": 0, "delta": _content({"text": answer.text})},
            {"type": "content-end", "index": 0},
            {"type": "message-end", "id": answer.id, "delta": ends},
        ]
        return named(bodies)


def _content(content: dict[str, str]) -> dict[str, Any]:
    return {"message": {"content": content}}


def _usage(answer: Answer) -> dict[str, Any]:
    counts = {"input_tokens": answer.usage.input, "output_tokens": answer.usage.output}
    return {"billed_units": counts, "tokens": counts}
