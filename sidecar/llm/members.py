"""The members of a JSON object, in order and each with its place. No body makes it long."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

_MOST: Final = 1000
"""Members. A request has some twenty; an object of 8 MiB may have a million, to keep us busy."""
_NAME: Final = re.compile(
    rb'[ \t\r\n]*+[{,][ \t\r\n]*+"[^"\\]*+(?:\\.[^"\\]*+)*+"[ \t\r\n]*+:[ \t\r\n]*+', re.DOTALL
)
"""What stands before an object's value."""


class TooMany(ValueError):
    """The object has more members than anybody would write."""


class Member(NamedTuple):
    """A member, and where its value stands."""

    name: str
    start: int
    end: int


class Name:
    """A name that is equal to no other: so a dict keeps members whose name is there twice."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


Members = dict[Name, Raw]


class _Decoder:
    """Stops at a member too many, before it has made anything of the rest."""

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
"""Names and values of the object that a body is, in order, those that are there twice too.

Raises TooMany, msgspec.MsgspecError, UnicodeDecodeError or RecursionError where it is none.
"""


def places(body: bytes, found: Members) -> Iterator[Member]:
    """Where the values stand that were *found* in *body*.

    The decoder tells values, not places. But they stand in the order of the body, so that each one
    says where the next begins.
    """
    at = 0
    for name, value in found.items():
        before = _NAME.match(body, at)
        assert before is not None, "the decoder has found a member here"
        start, at = before.end(), before.end() + len(memoryview(value))
        yield Member(name.text, start, at)
