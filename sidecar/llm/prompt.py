"""The beginning of a conversation, which stays the same over all its turns."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw


class _Message(msgspec.Struct):
    role: str | None = None


class _First(msgspec.Struct, array_like=True):
    """The first messages of a list; the decoder skips the others.

    The user's first message is among these few. A body may have millions.
    """

    m0: Raw = Raw()
    m1: Raw = Raw()
    m2: Raw = Raw()
    m3: Raw = Raw()
    m4: Raw = Raw()
    m5: Raw = Raw()
    m6: Raw = Raw()
    m7: Raw = Raw()


class _Body(msgspec.Struct):
    """`Raw()` where a member is absent (msgspec takes `Raw | None` for null and nothing else)."""

    system: Raw = Raw()
    instructions: Raw = Raw()
    systemInstruction: Raw = Raw()  # noqa: N815 - Gemini's name
    system_instruction: Raw = Raw()
    """Gemini also accepts this spelling."""
    messages: _First | None = None
    contents: _First | None = None
    input: Raw = Raw()
    prompt: Raw = Raw()


_body: Final = msgspec.json.Decoder(_Body).decode
_message: Final = msgspec.json.Decoder(_Message).decode
_first: Final = msgspec.json.Decoder(_First).decode
_ABSENT: Final = (b"", b"null")


class Prompt:
    """The prompt of a body, parsed on first use."""

    __slots__ = ("_body", "_parts")

    def __init__(self, body: bytes) -> None:
        """*body*: without a content coding."""
        self._body = body
        self._parts: list[bytes] | None = None

    def start(self, size: int) -> bytes:
        """Return the system prompt and the messages up to the user's first, at most *size* bytes.

        As they are written in the body: OpenAI's `messages`, `instructions` and `input`, or
        `prompt`; Anthropic's `system` and `messages`; Gemini's `systemInstruction` and `contents`.
        Other bodies give nothing. The conversation's next turn repeats all of it, so a model server
        with it in its KV cache need not process it again.
        """
        if self._parts is None:
            self._parts = _beginning(self._body)
        return b"\n".join(self._parts)[:size]


def _beginning(body: bytes) -> list[bytes]:
    try:
        found = _body(body)
        system = found.systemInstruction or found.system_instruction
        first = found.messages or found.contents
        messages = _until_user(first) if first is not None else _input(found.input)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
    parts = map(bytes, (found.system, found.instructions, system, *messages, found.prompt))
    return [part for part in parts if part not in _ABSENT]


def _input(value: Raw) -> list[Raw]:
    """OpenAI's `input` is a text or a list of messages."""
    return _until_user(_first(value)) if bytes(value)[:1] == b"[" else [value]


def _until_user(first: _First) -> list[Raw]:
    found: list[Raw] = []
    for message in msgspec.structs.astuple(first):
        begins = bytes(message)[:1]
        if not begins:
            break
        found.append(message)
        if begins != b"{" or _message(message).role in ("user", None):
            break
    return found
