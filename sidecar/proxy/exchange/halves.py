"""The two directions of a tunnel."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Halves:
    """Each may be ended by its sender while the other goes on, as TCP allows."""

    def __init__(self) -> None:
        self._ended = False
        """One of them."""

    def end(self, pass_on: Callable[[], bool]) -> bool:
        """Pass the end of one on. False when it was the last, or *pass_on* can't."""
        if self._ended or not pass_on():
            return False
        self._ended = True
        return True
