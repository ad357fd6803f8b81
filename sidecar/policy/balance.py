"""Which endpoint an attempt goes to. Pure: no clock, no randomness of its own."""

from __future__ import annotations


class RoundRobin:
    """Every endpoint in turn."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = 0

    def pick(self, count: int) -> int:
        """Index of the next of *count* endpoints; the count may change between picks."""
        index = self._next % count
        self._next = index + 1
        return index
