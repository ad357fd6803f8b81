"""Where a stream of server-sent events can be cut (WHATWG HTML, section 9.2.6)."""

from __future__ import annotations

from typing import Final

_BLANK_LINES: Final = (b"\n\n", b"\n\r", b"\r\r", b"\n\r\n", b"\r\r\n")
"""How a stream ends when its last line is empty: lines end with LF, CR LF or CR, also mixed."""
_LONGEST: Final = max(map(len, _BLANK_LINES))


class Boundary:
    """Watches a stream go by, at next to no cost: it looks only when it is asked."""

    __slots__ = ("framed",)

    def __init__(self) -> None:
        self.framed = b"\n\n\r\n"  # nothing is begun, as behind an event
        """How the stream so far ends, and the CR LF behind a chunk: at least five bytes in all.

        Who passes on chunks as they came leaves the last one here.
        """

    def feed(self, data: bytes) -> None:
        """*data* is next in the stream; pieces may be as small as they like."""
        if len(data) < _LONGEST:
            data = self.framed[:-2] + data
        self.framed = data[-_LONGEST:] + b"\r\n"

    def at_boundary(self) -> bool:
        """Whether the stream so far ends between two events."""
        return self.framed[:-2].endswith(_BLANK_LINES)
