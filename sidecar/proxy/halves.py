"""The two directions of a tunnel."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


class Halves:
    """Each may be ended by its sender while the other goes on, as TCP allows."""

    def __init__(self) -> None:
        self._ended = False
        """One of them."""

    def end(self, onward: asyncio.Transport) -> bool:
        """Pass the end of one on to *onward*. False when it was the last, or can't be passed on."""
        if self._ended or not onward.can_write_eof():
            return False
        self._ended = True
        onward.write_eof()
        return True
