"""What a request's body says of the call, and how another model is asked for instead."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec


class _Body(msgspec.Struct):
    model: str | None = None
    stream: bool | None = None


class Asked(NamedTuple):
    """The model that was asked for, where the body names one, and whether the reply streams."""

    model: str | None
    stream: bool


NOTHING: Final = Asked(None, False)
_decode: Final = msgspec.json.Decoder(_Body).decode
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text: Final = msgspec.json.Decoder(str).decode
_encode: Final = msgspec.json.Encoder().encode

_NAME: Final = re.compile(
    rb'[ \t\r\n]*+[{,][ \t\r\n]*+"[^"\\]*+(?:\\.[^"\\]*+)*+"[ \t\r\n]*+:[ \t\r\n]*+', re.DOTALL
)
"""What stands before an object's value."""
_CLOSE: Final = re.compile(rb"[ \t\r\n]*+}")


def asked(body: bytes) -> Asked:
    """Read *body*. What is no JSON object, or of other types, asks for nothing that we know."""
    try:
        found = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return NOTHING
    return Asked(found.model, bool(found.stream))


def with_model(body: bytes, model: str) -> bytes | None:
    """*body* with *model* as its top-level `model`, every other byte as it was.

    None if it is no JSON object with a string there. Other bytes stay since a signature or a
    provider's prompt cache may depend on them. Where a name is there twice, which RFC 8259 leaves
    to each reader, all is written anew, with the last value of each: no server can read another
    model.
    """
    try:
        members = _members(body)
        old = members.get("model")
        if old is None:
            return None
        _text(old)  # raises where it is no string
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    new = _encode(model)
    start = _place(body, members)
    if start is None:
        return _encode(members | {"model": msgspec.Raw(new)})
    return b"".join((body[:start], new, body[start + len(memoryview(old)) :]))


def _place(body: bytes, members: dict[str, msgspec.Raw]) -> int | None:
    """Where the value of `model` begins; None if *members* are not all that *body* has.

    The decoder tells values, not places. But values stand in the order of the body, so that each
    one says where the next begins; comparing them makes it certain.
    """
    at, place = 0, None
    for name, value in members.items():
        before = _NAME.match(body, at)
        if before is None or not body.startswith(value, before.end()):
            return None
        at = before.end()
        if name == "model":
            place = at
        at += len(memoryview(value))
    return place if _CLOSE.match(body, at) else None
