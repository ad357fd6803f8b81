"""The text of replies: of a whole chat, and of each event of its stream.

Only the first answer is read, and of it only what is said to the user: no reasoning, no tool calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from sidecar.llm.dialects.base import Dialect, members, read

_anything: Final = msgspec.json.Decoder().decode
Found = Mapping[str, Any]


def text_of(dialect: Dialect, body: bytes) -> str | None:
    """Return the text of a complete reply to a chat; None if it has none."""
    found = read(_anything, body)
    return _WHOLE[dialect](members(found))


def delta_of(dialect: Dialect, event: bytes) -> str:
    """Return the text that an event with the data *event* adds; empty if it adds none."""
    found = read(_anything, event)
    return _DELTAS[dialect](members(found)) or ""


def _first(values: object) -> Found:
    return members(values[0]) if isinstance(values, list) and values else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _joined(parts: object, wanted: Callable[[Found], bool]) -> str | None:
    """Join the texts of those *parts* that are *wanted*; None if there are none."""
    each: Iterable[Found] = map(members, parts) if isinstance(parts, list) else ()
    texts = [text for part in each if wanted(part) and isinstance(text := part.get("text"), str)]
    return "".join(texts) if texts else None


def _is_text(part: Found) -> bool:
    return part.get("type") == "text"


def _choice(found: Found, holder: str) -> str | None:
    """Mistral's reasoning models send a list of parts."""
    content = members(_first(found.get("choices")).get(holder)).get("content")
    return _text(content) if isinstance(content, str) else _joined(content, _is_text)


def _candidate(found: Found) -> str | None:
    content = members(_first(found.get("candidates")).get("content"))
    return _joined(content.get("parts"), lambda part: part.get("thought") is not True)


def _block(found: Found) -> str | None:
    delta = members(found.get("delta"))
    return _text(delta.get("text")) if delta.get("type") == "text_delta" else None


def _cohere(found: Found) -> str | None:
    content = members(members(members(found.get("delta")).get("message")).get("content"))
    return _text(content.get("text")) if found.get("type") == "content-delta" else None


_WHOLE: Final[Mapping[Dialect, Callable[[Found], str | None]]] = {
    "openai": lambda found: _choice(found, "message"),
    "mistral": lambda found: _choice(found, "message"),
    "anthropic": lambda found: _joined(found.get("content"), _is_text),
    "gemini": _candidate,
    "cohere": lambda found: _joined(members(found.get("message")).get("content"), _is_text),
}
_DELTAS: Final[Mapping[Dialect, Callable[[Found], str | None]]] = {
    "openai": lambda found: _choice(found, "delta"),
    "mistral": lambda found: _choice(found, "delta"),
    "anthropic": _block,
    "gemini": _candidate,
    "cohere": _cohere,
}
