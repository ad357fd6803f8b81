"""Events that are like the ones before but for some texts in them."""

from __future__ import annotations

from typing import Final

_TRIES: Final = 16
"""Pairs of events that are compared, in one stream. Where none are alike, all are read."""
_MOST_TEXTS: Final = 3
"""Texts in which two events differ: the answer's next piece, and what OpenAI pads it with."""
_LONGEST: Final = 4096


class Template:
    """Learns how a stream's events look, and knows those that look so.

    Only the values of texts may differ, so that an event which looks like two plain ones has no
    other members than they have, and no other values but texts.
    """

    __slots__ = ("_before", "_tries", "pieces")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        """What is the same in each event, as it is on the wire; texts stand between."""
        self._before = b""
        self._tries = _TRIES

    def learn(self, data: bytes) -> None:
        """*data* is of an event that is nothing but a piece of an answer."""
        before, self._before = self._before, data
        if not before or not self._tries or len(data) > _LONGEST or b"\n" in data:
            return
        if b'\\"' in data or b'\\"' in before:
            return  # a quote that is none
        self._tries -= 1
        pieces = _common(before.split(b'"'), data.split(b'"'))
        if pieces:
            pieces[0] = b"data: " + pieces[0]
            pieces[-1] += b"\n\n"
            self.pieces = pieces

    def matches(self, data: bytes, at: int) -> int:
        """Where the event ends that begins at *at*, if it looks so; else -1."""
        pieces = self.pieces
        if not pieces or not data.startswith(pieces[0], at):
            return -1
        at += len(pieces[0])
        for piece in pieces[1:]:
            at = data.find(b'"', at)
            if at < 0 or not data.startswith(piece, at):
                return -1
            at += len(piece)
        return at


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
