"""The text of replies: of a whole chat, and of each event of its stream.

Only the first answer is read, and of it only what is said to the user: no reasoning, no tool calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from sidecar.llm.dialects.base import Dialect, read


class _Part(msgspec.Struct):
    """A part of a message: of OpenAI, Anthropic or Cohere with a type, of Gemini without."""

    type: Any = None
    text: Any = None
    thought: Any = None


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    delta: _Message | None = None


class _OpenAI(msgspec.Struct):
    choices: list[_Choice] | None = None


class _Anthropic(msgspec.Struct):
    content: list[_Part] | None = None
    delta: _Part | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct):
    content: _Content | None = None


class _Gemini(msgspec.Struct):
    candidates: list[_Candidate] | None = None


class _Cohere(msgspec.Struct):
    message: _Message | None = None


class _Piece(msgspec.Struct):
    content: _Part | None = None


class _Delta(msgspec.Struct):
    message: _Piece | None = None


class _Event(msgspec.Struct):
    type: Any = None
    delta: _Delta | None = None


_openai: Final = msgspec.json.Decoder(_OpenAI).decode
_anthropic: Final = msgspec.json.Decoder(_Anthropic).decode
_gemini: Final = msgspec.json.Decoder(_Gemini).decode
_cohere: Final = msgspec.json.Decoder(_Cohere).decode
_cohere_event: Final = msgspec.json.Decoder(_Event).decode


def text_of(dialect: Dialect, body: bytes) -> str | None:
    """Return the text of a complete reply to a chat; None if it has none."""
    return _WHOLE[dialect](body)


def delta_of(dialect: Dialect, event: bytes) -> str:
    """Return the text that an event with the data *event* adds; empty if it adds none."""
    return _DELTAS[dialect](event) or ""


def _joined(parts: Sequence[_Part] | None, kind: str | None = "text") -> str | None:
    """Join the texts of the parts of a *kind* (None: those that are no thoughts)."""
    texts = [
        part.text
        for part in parts or ()
        if isinstance(part.text, str)
        and (part.type == kind if kind is not None else part.thought is not True)
    ]
    return "".join(texts) if texts else None


def _said(message: _Message | None) -> str | None:
    """Mistral's reasoning models send a list of parts."""
    content = None if message is None else message.content
    return content if isinstance(content, str | None) else _joined(content)


def _choice(body: bytes) -> _Choice:
    found = read(_openai, body)
    return found.choices[0] if found is not None and found.choices else _Choice()


def _message(body: bytes) -> str | None:
    found = read(_anthropic, body)
    return None if found is None else _joined(found.content)


def _block(event: bytes) -> str | None:
    found = read(_anthropic, event)
    return _joined([found.delta], "text_delta") if found is not None and found.delta else None


def _candidate(body: bytes) -> str | None:
    found = read(_gemini, body)
    content = found.candidates[0].content if found is not None and found.candidates else None
    return None if content is None else _joined(content.parts, None)


def _cohere_said(body: bytes) -> str | None:
    found = read(_cohere, body)
    return None if found is None else _said(found.message)


def _cohere_delta(event: bytes) -> str | None:
    found = read(_cohere_event, event)
    if found is None or found.type != "content-delta" or found.delta is None:
        return None
    piece = found.delta.message and found.delta.message.content
    return piece.text if piece and isinstance(piece.text, str) else None


_WHOLE: Final[Mapping[Dialect, Callable[[bytes], str | None]]] = {
    "openai": lambda body: _said(_choice(body).message),
    "mistral": lambda body: _said(_choice(body).message),
    "anthropic": _message,
    "gemini": _candidate,
    "cohere": _cohere_said,
}
_DELTAS: Final[Mapping[Dialect, Callable[[bytes], str | None]]] = {
    "openai": lambda event: _said(_choice(event).delta),
    "mistral": lambda event: _said(_choice(event).delta),
    "anthropic": _block,
    "gemini": _candidate,
    "cohere": _cohere_delta,
}
