"""The two directions of a tunnel."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Halves:
    """Each direction may end while the other goes on, as TCP allows."""

    def __init__(self) -> None:
        self._ended = False
        """Whether one direction has ended."""

    def end(self, pass_on: Callable[[], bool]) -> bool:
        """Pass one end on. Return False if it was the second, or *pass_on* fails."""
        if self._ended or not pass_on():
            return False
        self._ended = True
        return True
