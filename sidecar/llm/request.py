"""What a request's body says of the call."""

from __future__ import annotations

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


def asked(body: bytes) -> Asked:
    """Read *body*. What is no JSON object, or of other types, asks for nothing that we know."""
    try:
        found = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return NOTHING
    return Asked(found.model, bool(found.stream))
