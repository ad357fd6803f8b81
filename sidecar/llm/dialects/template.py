"""Recognise events that equal earlier ones except for some strings in them."""

from __future__ import annotations

import re
from typing import Final

_TRIES: Final = 64
"""Pairs of events that are compared in one stream. If none match, all events are parsed."""
_MOST_TEXTS: Final = 3
"""Strings in which two events may differ: the next piece of the answer, and OpenAI's padding."""
_LONGEST: Final = 4096
_QUOTES: Final = re.compile(rb'(?<!\\)"')


class Template:
    """Learns the constant parts of a stream's plain events.

    Events may differ only in the values of strings. An event that matches the constant parts of two
    plain events therefore has the same members as they have, and the same values except strings. If
    a matcher mistakes an escaped quote for the end of a string, or the reverse, the bytes behind it
    differ from the next constant part.
    """

    __slots__ = ("_before", "_tries", "head", "rest")

    def __init__(self) -> None:
        self.head = b""
        """The constant part on the wire before the first string that varies."""
        self.rest: tuple[bytes, ...] = ()
        """The constant parts after each of these strings; none if nothing has been learned."""
        self._before = b""
        self._tries = _TRIES

    def learn(self, data: bytes) -> None:
        """Compare *data*, of an event with only a piece of the answer, with the one before."""
        before, self._before = self._before, data if len(data) <= _LONGEST else b""
        if not before or not self._before or not self._tries or data.find(b"\n") >= 0:
            return
        if data.find(b"\\\\") >= 0 or before.find(b"\\\\") >= 0:
            return  # an escaped backslash: the pattern can't tell which quotes are escaped
        self._tries -= 1
        pieces = _common(_QUOTES.split(before), _QUOTES.split(data))
        if pieces:
            self.head = b"data: " + pieces[0]
            self.rest = (*pieces[1:-1], pieces[-1] + b"\n\n")


def _common(one: list[bytes], other: list[bytes]) -> list[bytes]:
    """Return the constant parts of two events, or nothing if more than some strings differ.

    Both are split at their quotes, so that every second part is a string.
    """
    if len(one) != len(other):
        return []
    pieces: list[bytes] = []
    begin = 0
    for place, (here, there) in enumerate(zip(one, other, strict=True)):
        if here != there:
            if place % 2 == 0 or not one[place - 1].rstrip().endswith(b":"):
                return []
            pieces.append(b'"'.join(one[begin:place]) + b'"')
            begin = place + 1
    pieces.append(b'"' + b'"'.join(one[begin:]))
    # A string's quotes belong to the parts around it.
    for place in range(1, len(pieces) - 1):
        pieces[place] = b'"' + pieces[place]
    return pieces if 1 < len(pieces) <= _MOST_TEXTS + 1 else []
