"""How a conversation begins: what stays the same over all its turns."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw


class _Message(msgspec.Struct):
    role: str | None = None


class _Body(msgspec.Struct):
    system: Raw | None = None
    instructions: Raw | None = None
    systemInstruction: Raw | None = None  # noqa: N815 - Gemini's name
    messages: list[Raw] | None = None
    contents: list[Raw] | None = None
    input: Raw | None = None
    prompt: Raw | None = None


_body: Final = msgspec.json.Decoder(_Body).decode
_message: Final = msgspec.json.Decoder(_Message).decode
_messages: Final = msgspec.json.Decoder(list[Raw]).decode


def prompt_start(body: bytes, size: int) -> bytes:
    """The system prompt and the messages up to the first of the user's, at most *size* bytes.

    As they are written in *body*: OpenAI's `messages`, `instructions` and `input`, or `prompt`;
    Anthropic's `system` and `messages`; Gemini's `systemInstruction` and `contents`. What is none
    of these gives nothing. A conversation's next turn repeats all of it, so that a model server
    which has it in its KV cache need not read it again.
    """
    try:
        found = _body(body)
        parts = [
            part for part in (found.system, found.instructions, found.systemInstruction) if part
        ]
        parts += _until_user(found.messages or found.contents or _listed(found.input))
        parts += [part for part in (found.prompt,) if part]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return b""
    return b"\n".join(bytes(part) for part in parts)[:size]


def _listed(value: Raw | None) -> list[Raw]:
    """OpenAI's `input` is a text or a list of messages."""
    if value is None:
        return []
    return _messages(value) if bytes(value)[:1] == b"[" else [value]


def _until_user(messages: list[Raw]) -> list[Raw]:
    for count, message in enumerate(messages, 1):
        if bytes(message)[:1] != b"{" or _message(message).role in ("user", None):
            return messages[:count]
    return messages
