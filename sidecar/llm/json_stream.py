"""Split a streamed JSON array into its elements (Gemini's streams without `alt=sse`)."""

from __future__ import annotations

import re
from typing import Final

from sidecar.llm.sse import MOST

_OUTSIDE: Final = re.compile(rb'[{}\[\]"]')
_INSIDE: Final = re.compile(rb'[^"\\]*+')


class JsonSplitter:
    """Takes an array in pieces of any size, and returns the elements that are complete.

    Elements are objects or arrays; other values are dropped. A single object, such as an error, is
    an element too. Only brackets and quotes are checked, so an element may be invalid JSON. An
    element that is too large is dropped.
    """

    __slots__ = ("_depth", "_escaped", "_kept", "_most", "_parts", "_quoted", "_top", "closed")

    def __init__(self, most: int = MOST) -> None:
        """*most*: bytes of an element that are kept."""
        self.closed = False
        """Whether the array, or the single object, has ended."""
        self._most = most
        self._top = 0
        """The depth of the brackets around an element: 1 in an array, 0 for a single object."""
        self._depth = 0
        self._quoted = False
        self._escaped = False
        self._parts: list[bytes] = []
        self._kept = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream, and return the elements that end in them."""
        found: list[bytes] = []
        begin = 0
        """The place in *data* where the current element begins or continues."""
        at = 0
        while not self.closed and at < len(data):
            if self._quoted:
                at = self._text(data, at)
                continue
            bracket = _OUTSIDE.search(data, at)
            if bracket is None:
                break
            at = bracket.end()
            byte = data[at - 1]
            if byte == 0x22:  # "
                self._quoted = True
            elif byte in b"{[":
                if self._opens(byte):
                    begin = at - 1
            elif self._ends():
                self._keep(data[begin:at])
                found += self._taken()
        if self._depth > self._top and not self.closed:
            self._keep(data[begin:])
        return found

    def _text(self, data: bytes, at: int) -> int:
        """Return the place behind the string that continues at *at*, or the end of the data."""
        if self._escaped:
            self._escaped = False
            return at + 1
        inside = _INSIDE.match(data, at)
        assert inside is not None, "it matches nothing as well"
        at = inside.end()
        if at < len(data):
            self._quoted = data[at] != 0x22
            self._escaped = self._quoted
        return at + 1

    def _opens(self, byte: int) -> bool:
        """Note an opening bracket. Return whether an element begins with it."""
        if self._depth == 0 and byte == 0x5B:
            self._top = 1
        self._depth += 1
        return self._depth == self._top + 1

    def _ends(self) -> bool:
        """Note a closing bracket. Return whether an element ends with it."""
        self._depth -= 1
        if self._depth <= 0:
            self.closed = True
        return self._depth == self._top

    def _keep(self, part: bytes) -> None:
        self._kept += len(part)
        if self._kept <= self._most:
            self._parts.append(part)

    def _taken(self) -> list[bytes]:
        whole = [b"".join(self._parts)] if self._kept <= self._most else []
        self._parts = []
        self._kept = 0
        return whole
