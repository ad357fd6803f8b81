"""The message that a call asks to have answered: the last one, if it is the user's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw

_MOST: Final = 100_000
"""Opening braces in a body. One with more is not read: it may have millions of messages."""
_TEXTS: Final = ("text", "input_text", None)
"""Types of parts that are texts. Gemini's parts have no type."""
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class LastMessage(NamedTuple):
    """The user's last message."""

    text: str
    """Its texts, joined by line feeds."""
    only_text: bool
    """Whether nothing else is in it: no image, no result of a tool."""


class _Message(msgspec.Struct):
    role: str | None = None
    type: str | None = None
    content: Raw = Raw()
    parts: Raw = Raw()


class _Body(msgspec.Struct):
    messages: list[_Message] | None = None
    contents: list[_Message] | None = None
    input: Raw = Raw()
    prompt: Raw = Raw()


_body: Final = msgspec.json.Decoder(_Body).decode
_messages: Final = msgspec.json.Decoder(list[_Message]).decode
_content: Final = msgspec.json.Decoder(str | list[Any]).decode


def last_message(body: bytes) -> LastMessage | None:
    """Return the last message of the conversation in *body*, if it is the user's; else None.

    It stands in OpenAI's `messages`, `input` or `prompt`, Anthropic's and Cohere's `messages`, or
    Gemini's `contents`. A conversation that ends with the result of a tool, or with the beginning
    of an answer, is not the user's turn. *body* has no content coding.
    """
    if body.count(b"{") > _MOST:
        return None
    try:
        return _last(_body(body))
    except _UNREADABLE:
        return None


def _last(found: _Body) -> LastMessage | None:
    if found.messages is not None:
        return _of_messages(found.messages)
    if found.contents is not None:
        return _of_messages(found.contents)
    if _begins(found.input) == b"[":
        return _of_messages(_messages(found.input))
    return _of_content(found.input) or _of_content(found.prompt)


def _of_messages(messages: Sequence[_Message]) -> LastMessage | None:
    """Gemini's messages may lack a role, and those of Responses may have a type."""
    last = messages[-1] if messages else None
    if last is None or last.role not in ("user", None) or last.type not in ("message", None):
        return None
    return _of_content(last.content) or _of_content(last.parts)


def _of_content(content: Raw) -> LastMessage | None:
    """A text, or a list of texts or of parts; None if it is absent."""
    if _begins(content) not in (b'"', b"["):
        return None
    value = _content(content)
    parts = [value] if isinstance(value, str) else value
    found = [_text(part) for part in parts]
    texts = [text for text in found if text is not None]
    return LastMessage("\n".join(texts), len(texts) == len(found))


def _text(part: object) -> str | None:
    """Return the text of a part; None if it is something else."""
    if isinstance(part, dict):
        part = part.get("text") if part.get("type") in _TEXTS else None
    return part if isinstance(part, str) else None


def _begins(value: Raw) -> bytes:
    return bytes(memoryview(value)[:1])
