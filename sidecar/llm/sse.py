"""Split a byte stream into server-sent events (WHATWG HTML, section 9.2.6)."""

from __future__ import annotations

from typing import Final, NamedTuple

MOST: Final = 2**20
"""Bytes of an event that are kept. Of a larger one only the name is known."""
_BOM: Final = b"\xef\xbb\xbf"
_NAME: Final = 256
"""Bytes of a name that are kept."""
_PREFIX: Final = len(b"event: ") + _NAME
"""Bytes that are kept of a line that is too long."""


class Event(NamedTuple):
    """One event."""

    name: bytes
    """The `event` field; empty if there is none."""
    data: bytes
    """The `data` fields, joined by line feeds; empty if they were `cut`."""
    cut: bool = False
    """Whether the data were too large to keep."""


class EventSplitter:
    """Takes a stream in pieces of any size, and returns the events that are complete.

    Lines end with LF, CR LF or CR, also mixed, also split over two reads. Comments, ids and unknown
    fields are dropped. Time is linear and memory bounded for any input, since the pieces of a line
    are joined only when it ends.
    """

    __slots__ = (
        "_began", "_cut", "_data", "_length", "_line", "_long", "_most", "_name", "_size",
        "_skip_lf", "idle",
    )  # fmt: skip

    def __init__(self, most: int = MOST) -> None:
        """*most*: bytes of an event that are kept."""
        self.idle = False
        """Whether the next byte begins an event."""
        self._most = most
        self._began = False
        self._skip_lf = False
        self._line: list[bytes] = []
        """The pieces of the current line; only its beginning if it is too `_long`."""
        self._length = 0
        self._long = False
        self._data: list[bytes] = []
        self._size = 0
        self._cut = False
        self._name = b""

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes of the stream, and return the events that end in them."""
        events: list[Event] = []
        if self._skip_lf and data:
            self._skip_lf = False
            if data[:1] == b"\n":
                data = data[1:]
        if data:
            lines = data.splitlines(keepends=True)  # of bytes: at CR, LF, CR LF, and nothing else
            rest = b"" if lines[-1].endswith((b"\n", b"\r")) else lines.pop()
            for line in lines:
                self._end_line(line.rstrip(b"\r\n"), events)
            if rest:
                self._keep(rest)
            self._skip_lf = data.endswith(b"\r")
        self.idle = not (self._line or self._data or self._name or self._skip_lf)
        return events

    def finish(self) -> list[Event]:
        """Take the end of the stream, and return its last event if no blank line follows it.

        The standard drops such an event, but some servers omit the last line feed. Its data may be
        incomplete.
        """
        events: list[Event] = []
        if self._line:
            self._end_line(b"", events)
        self._end_event(events)
        return events

    def _keep(self, part: bytes) -> None:
        """Keep a piece of a line that continues."""
        if self._long or self._length + len(part) > self._most:
            self._long = True
            part = part[: max(0, _PREFIX - self._length)]
        if part:
            self._line.append(part)
            self._length += len(part)

    def _end_line(self, line: bytes, events: list[Event]) -> None:
        """Handle a line whose last piece is *line*."""
        long = self._long
        if self._line:
            rest = line[: max(0, _PREFIX - self._length)] if long else line
            line = b"".join((*self._line, rest))
            self._line = []
            self._length = 0
            self._long = False
        if not self._began:
            self._began = True
            line = line.removeprefix(_BOM)
        if line:
            self._field(line, long)
        else:
            self._end_event(events)

    def _field(self, line: bytes, long: bool) -> None:
        if line.startswith(b"data:"):
            self._size += len(line)
            if long or self._size > self._most:
                self._cut = True
                self._data.clear()
            self._data.append(line[6:] if line.startswith(b" ", 5) else line[5:])
        elif line.startswith(b"event:"):
            self._name = (line[7:] if line.startswith(b" ", 6) else line[6:])[:_NAME]
        elif line == b"data":
            self._data.append(b"")

    def _end_event(self, events: list[Event]) -> None:
        if self._data:
            data = b"" if self._cut else b"\n".join(self._data)
            events.append(Event(self._name, data, self._cut))
        self._data = []
        self._name = b""
        self._size = 0
        self._cut = False
