"""Walk through the data of an event: its strings, and which text each is a piece of."""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = re.compile(
    rb'("[^"\\]*+(?:\\.[^"\\]*+)*+")([ \t\r\n]*+:)?|([{}\[\]])|([-0-9a-zA-Z.+]++)|,', re.DOTALL
)
_IDS: Final = frozenset({
    b"index", b"output_index", b"content_index", b"summary_index", b"item_id", b"thought",
})  # fmt: skip
"""Members that tell which text a piece belongs to."""
_FINISHES: Final = frozenset({b"finish_reason", b"finishReason"})
_DEEPEST: Final = 64
"""Objects and lists, one within the other."""

Path = tuple[bytes, ...]
Ids = dict[tuple[Path, bytes], bytes]


class TooDeep(ValueError):
    """The data are nested too deeply."""


class Frame:
    """An object or a list that is open while the data are walked through."""

    __slots__ = ("finished", "ids", "key", "path", "up")

    def __init__(self, path: Path, up: Frame | None) -> None:
        self.path = path
        self.up = up
        self.key = b""
        self.ids: Ids = {}
        self.finished = False

    def all_ids(self) -> Ids:
        """The ids of this object and those around it."""
        return self.ids if self.up is None else {**self.up.all_ids(), **self.ids}

    def within(self) -> Frame:
        """Return the object or list that begins in it. Raise TooDeep."""
        if len(self.path) >= _DEEPEST:
            raise TooDeep
        return Frame((*self.path, self.key), self)

    def is_finished(self) -> bool:
        """Whether it, or one around it, is an answer that ends here."""
        return self.finished or (self.up is not None and self.up.is_finished())


class String:
    """A string value, by where its text stands."""

    __slots__ = ("end", "frame", "key", "start")

    def __init__(self, frame: Frame, start: int, end: int) -> None:
        self.frame = frame
        self.key = frame.key
        self.start = start
        self.end = end


def walked(data: bytes) -> tuple[Frame, list[String], list[Ids]]:
    """Return the outermost object of *data*, its strings, and the ids of the answers that end.

    Raise TooDeep.
    """
    top = Frame((), None)
    frame = top
    first = True
    strings: list[String] = []
    ended: list[Frame] = []
    for token in _TOKEN.finditer(data):
        string, bracket, scalar = token[1], token[3], token[4]
        if string is not None:
            if token[2] is not None:
                frame.key = string[1:-1]
                continue
            strings.append(String(frame, token.start(1) + 1, token.end(1) - 1))
            scalar = string
        if scalar is not None:
            if frame.key in _IDS:
                frame.ids[frame.path, frame.key] = scalar
            elif frame.key in _FINISHES and string not in (None, b'""'):
                frame.finished = True
                ended.append(frame)
        elif bracket in (b"{", b"["):
            if first:
                first = False
            else:
                frame = frame.within()
        elif bracket is not None and frame.up is not None:
            frame = frame.up
    return top, strings, [each.all_ids() for each in ended]


def written(event: bytes, start: int, strings: list[tuple[String, bytes]]) -> bytes:
    """Return *event*, whose data are at *start*, with other texts in its strings."""
    parts: list[bytes] = []
    at = 0
    for string, new in strings:
        parts += (event[at : start + string.start], new)
        at = start + string.end
    return b"".join((*parts, event[at:]))
