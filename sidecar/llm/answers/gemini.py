"""Answers as Gemini's generateContent and streamGenerateContent.

Source: python-genai 3.6 (`types.py`, `_api_client.py`).
"""

from __future__ import annotations

from typing import Any, Final

from sidecar.llm.answers.base import EVENTS, JSON, Answer, data, encode

_REASONS: Final = {"stop": "STOP", "length": "MAX_TOKENS"}


class ContentWriter:
    """Writes content; a stream of it as events, or as elements of an array."""

    def __init__(self, *, events: bool) -> None:
        """*events*: a stream consists of events (`alt=sse`)."""
        self._events = events
        self.stream_type = EVENTS if events else JSON

    def whole(self, answer: Answer) -> bytes:
        """Return a `GenerateContentResponse`."""
        return encode(_content(answer, answer.text, last=True))

    def stream(self, answer: Answer) -> tuple[bytes, ...]:
        """Return two of them: the text, and the end."""
        chunks = (_content(answer, answer.text, last=False), _content(answer, "", last=True))
        if self._events:
            return tuple(map(data, chunks))
        first, second = map(encode, chunks)
        return b"[" + first, b",\n" + second + b"]\n"


def _content(answer: Answer, text: str, *, last: bool) -> dict[str, Any]:
    usage = answer.usage
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}}
    if last:
        candidate["finishReason"] = _REASONS[answer.finish]
    return {
        "candidates": [candidate | {"index": 0}],
        "usageMetadata": {
            "promptTokenCount": usage.input,
            "candidatesTokenCount": usage.output - usage.reasoning,
            "thoughtsTokenCount": usage.reasoning,
            "cachedContentTokenCount": usage.cached,
            "totalTokenCount": usage.input + usage.output,
        },
        "modelVersion": answer.model,
        "responseId": answer.id,
    }
