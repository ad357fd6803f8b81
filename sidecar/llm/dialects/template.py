"""Events that are like the ones before but for some texts in them."""

from __future__ import annotations

import re
from typing import Final

_TRIES: Final = 64
"""Pairs of events that are compared, in one stream. Where none are alike, all are read."""
_MOST_TEXTS: Final = 3
"""Texts in which two events differ: the answer's next piece, and what OpenAI pads it with."""
_LONGEST: Final = 4096
_QUOTES: Final = re.compile(rb'(?<!\\)"')


class Template:
    """Learns how a stream's events look, and knows those that look so.

    Only the values of texts may differ, so that an event which looks like two plain ones has no
    other members than they have, and no other values but texts. Who looks for a text's end may take
    an escaped quote for it, or pass over the right one: what comes behind it is another piece then.
    """

    __slots__ = ("_before", "_tries", "pieces")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        """What is the same in each event, as it is on the wire; texts stand between."""
        self._before = b""
        self._tries = _TRIES

    def learn(self, data: bytes) -> None:
        """*data* is of an event that is nothing but a piece of an answer."""
        before, self._before = self._before, data if len(data) <= _LONGEST else b""
        if not before or not self._before or not self._tries or data.find(b"\n") >= 0:
            return
        if data.find(b"\\\\") >= 0 or before.find(b"\\\\") >= 0:
            return  # or it would have to be told which quotes are escaped
        self._tries -= 1
        pieces = _common(_QUOTES.split(before), _QUOTES.split(data))
        if pieces:
            pieces[0] = b"data: " + pieces[0]
            pieces[-1] += b"\n\n"
            self.pieces = pieces


def _common(one: list[bytes], other: list[bytes]) -> list[bytes]:
    """What is the same in both; nothing where more than the values of some texts differ.

    Both are split at their quotes, so that every second one is a text.
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
    # The first and the last text's quotes belong to the pieces around it.
    for place in range(1, len(pieces) - 1):
        pieces[place] = b'"' + pieces[place]
    return pieces if 1 < len(pieces) <= _MOST_TEXTS + 1 else []
