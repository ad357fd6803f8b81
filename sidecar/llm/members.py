"""The members of a JSON object, in order and with positions, in bounded time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

_MOST: Final = 1000
"""Members. A request has some twenty; a hostile object of 8 MiB may have a million."""
_NAME: Final = re.compile(
    rb'[ \t\r\n]*+[{,][ \t\r\n]*+"[^"\\]*+(?:\\.[^"\\]*+)*+"[ \t\r\n]*+:[ \t\r\n]*+', re.DOTALL
)
"""The text before a member's value."""


class TooMany(ValueError):
    """The object has too many members."""


class Member(NamedTuple):
    """A member, and the position of its value."""

    name: str
    start: int
    end: int


class Name:
    """A name that equals no other, so that a dict keeps duplicate members."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


Members = dict[Name, Raw]


class _Decoder:
    """Decodes an object, and stops early if it has too many members."""

    def __init__(self) -> None:
        self._left = 0
        self._decode = msgspec.json.Decoder(Members, dec_hook=self._name).decode

    def __call__(self, body: bytes) -> Members:
        self._left = _MOST
        try:
            return self._decode(body)
        except msgspec.ValidationError:
            if self._left < 0:
                raise TooMany from None
            raise

    def _name(self, kind: type[Name], text: str) -> Name:
        self._left -= 1
        if self._left < 0:
            raise TooMany
        return kind(text)


members: Final = _Decoder()
"""Returns names and values of the object in a body, in order, with duplicates.

Raises TooMany, or msgspec.MsgspecError, UnicodeDecodeError or RecursionError if it is no object.
"""


def places(body: bytes, found: Members) -> Iterator[Member]:
    """Yield the positions of the values that were *found* in *body*.

    The decoder returns values without positions, but in the order of the body. So the end of each
    shows where the next begins.
    """
    at = 0
    for name, value in found.items():
        before = _NAME.match(body, at)
        assert before is not None, "the decoder has found a member here"
        start, at = before.end(), before.end() + len(memoryview(value))
        yield Member(name.text, start, at)
