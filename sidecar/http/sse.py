"""Where a stream of server-sent events can be cut (WHATWG HTML, section 9.2.6)."""

from __future__ import annotations

from typing import Final

_BLANK_LINES: Final = (b"\n\n", b"\n\r", b"\r\r", b"\n\r\n", b"\r\r\n")
"""The ends of a stream with an empty last line: LF, CR LF or CR, also mixed."""
_LONGEST: Final = max(map(len, _BLANK_LINES))


class Boundary:
    """Tracks the end of a stream cheaply: it only looks when asked."""

    __slots__ = ("framed",)

    def __init__(self) -> None:
        self.framed = b"\n\n\r\n"  # nothing is begun, as behind an event
        """The end of the stream so far, with the CR LF after a chunk: at least five bytes.

        The relay stores the last chunk here.
        """

    def feed(self, data: bytes) -> None:
        """Add *data*, of any size, to the stream."""
        if len(data) < _LONGEST:
            data = self.framed[:-2] + data
        self.framed = data[-_LONGEST:] + b"\r\n"

    def at_boundary(self) -> bool:
        """Whether the stream so far ends between two events."""
        return self.framed[:-2].endswith(_BLANK_LINES)
