"""Answers as Anthropic's messages. Source: anthropic-sdk-python 2.14 (`types/message.py`,
`raw_message_stream_event.py`)."""

from __future__ import annotations

from typing import Any, Final

from sidecar.llm.answers.base import EVENTS, Answer, encode, named

_REASONS: Final = {"stop": "end_turn", "length": "max_tokens"}


class MessageWriter:
    """Writes messages."""

    stream_type = EVENTS

    def whole(self, answer: Answer) -> bytes:
        """Return a `message`."""
        content = [{"type": "text", "text": answer.text}]
        return encode(_message(answer, content, _REASONS[answer.finish], answer.usage.output))

    def stream(self, answer: Answer) -> tuple[bytes, ...]:
        """Return its events: one block of text."""
        block = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": answer.text}
        ends = {"stop_reason": _REASONS[answer.finish], "stop_sequence": None}
        usage = {"output_tokens": answer.usage.output}
        bodies: list[dict[str, Any]] = [
            {"type": "message_start", "message": _message(answer, [], None, 0)},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": ends, "usage": usage},
            {"type": "message_stop"},
        ]
        return named(bodies)


def _message(
    answer: Answer, content: list[dict[str, Any]], reason: str | None, output: int
) -> dict[str, Any]:
    usage = answer.usage
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": max(0, usage.input - usage.cached - usage.cache_write),
            "cache_creation_input_tokens": usage.cache_write,
            "cache_read_input_tokens": usage.cached,
            "output_tokens": output,
        },
    }
