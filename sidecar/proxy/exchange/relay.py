"""The fast path for a streamed reply's chunks: each is passed on unchanged."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from sidecar.http.chunked import plain_chunk

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.http.sse import Boundary


class Relay:
    """Passes on a read that is exactly one chunk; other reads go to the parser.

    An engine writes a chunk for each token, so most reads bring one. `take` runs for every token of
    every stream: it is one function, copies nothing, and looks at nothing but the framing.
    """

    __slots__ = ("_boundary", "_write", "last", "passed")

    def __init__(self, write: Callable[[bytes], None], boundary: Boundary) -> None:
        self._write = write
        self._boundary = boundary
        self.last = 0.0
        """When it passed on the last chunk (monotonic seconds)."""
        self.passed = 0
        """Bytes of data in the chunks that it passed on."""

    def __repr__(self) -> str:
        return f"<Relay {self.passed} bytes passed>"

    def take(self, data: bytes) -> bool:
        """Pass *data*, read at a chunk boundary, on if it is one chunk; else return False."""
        begins, size = plain_chunk(len(data))
        if not (data.startswith(begins) and data.endswith(b"\r\n")):
            return False
        self.last = monotonic()
        self.passed += size
        self._boundary.framed = data
        self._write(data)
        return True
