"""Request the usage of an OpenAI stream, and recognise the event with it.

Source: openai-python 3.57, `ChatCompletionStreamOptionsParam.include_usage`: one more chunk before
`[DONE]`, with `usage` and with no choices; all others have `usage: null`.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from sidecar.llm.members import Member, TooMany, members, places

_ASKED: Final = b'{"include_usage":true}'
_UNREADABLE: Final = (TooMany, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_EMPTY: Final = re.compile(rb"\{[ \t\r\n]*\}")


class _Chunk(msgspec.Struct):
    choices: list[Any] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None
    x_groq: Any = None


_decode: Final = msgspec.json.Decoder(_Chunk).decode


def insert_include_usage(body: bytes) -> bytes | None:
    """Return *body* with `stream_options.include_usage`, and all other bytes unchanged.

    None if the body already asks for the usage, asks for no stream, has `stream` or
    `stream_options` twice, or is no JSON in UTF-8. Only for chat and completions, and only for
    upstreams that support it.
    """
    try:
        found = list(places(body, members(body)))
        named = _by_name(found)
        stream, options = named["stream"], named["stream_options"]
        if stream is None or body[stream.start : stream.end] != b"true":
            return None
        if options is None:
            end = stream.end
            return b"".join((body[:end], b',"stream_options":', _ASKED, body[end:]))
        value = _with_usage(body[options.start : options.end])
    except (*_UNREADABLE, _Twice):
        return None
    if value is None:
        return None
    return b"".join((body[: options.start], value, body[options.end :]))


def is_usage_only(data: bytes) -> bool:
    """Whether *data*, of an event, is the extra chunk with the usage and no choices."""
    if data.find(b'"usage"') < 0:  # nearly always
        return False
    try:
        found = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return found.choices == [] and bool(found.usage) and not found.error


class _Twice(ValueError):
    """A member occurs twice, so it is unknown which one counts."""


def _by_name(found: list[Member]) -> dict[str, Member | None]:
    named: dict[str, Member | None] = {"stream": None, "stream_options": None}
    for member in found:
        if member.name in named:
            if named[member.name] is not None:
                raise _Twice
            named[member.name] = member
    return named


def _with_usage(options: bytes) -> bytes | None:
    """Return `stream_options` with `include_usage`; None if it has it already."""
    if options == b"null":
        return _ASKED
    inner = [m for m in places(options, members(options)) if m.name == "include_usage"]
    if len(inner) > 1:
        raise _Twice
    if inner:
        asked = inner[0]
        if options[asked.start : asked.end] == b"true":
            return None
        return b"".join((options[: asked.start], b"true", options[asked.end :]))
    comma = b"" if _EMPTY.fullmatch(options) else b","
    return b'{"include_usage":true' + comma + options[1:]
