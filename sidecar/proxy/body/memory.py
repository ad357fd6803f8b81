"""The memory that the buffered request bodies of all calls may take together.

A body reserves its memory before it is received, so that every body that begins can be completed.
Bodies without room wait in order, and their connections are not read meanwhile. Bytes in the same
read as a request's head are always buffered: each connection may exceed the bound by that one read
(256 KiB at most).
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from sidecar.errors import NoBodyMemory

DEFAULT_SHARE: Final = 0.25
"""Share of the process's memory. Replies, pools and Python itself need the rest."""
_SOON: Final = 1.0
"""Seconds in `retry-after`: by then other bodies may have been freed."""


class BodyMemory:
    """Reserves at most *total* bytes. A body waits at most *wait* seconds for its part."""

    def __init__(self, total: int, wait: float) -> None:
        self.total = total
        self.wait = wait
        self.used = 0
        self.refused = 0
        """Bodies that got no memory in time."""
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def waiting(self) -> int:
        """Bodies that wait for memory."""
        return len(self._waiting)

    def configure(self, total: int, wait: float) -> None:
        """Use new settings from now on."""
        self.total, self.wait = total, wait
        self._admit()

    def add(self, size: int) -> None:
        """Count *size* bytes that are already here."""
        self.used += size

    def free(self, size: int) -> None:
        """Return *size* bytes that were added or reserved."""
        self.used -= size
        if self._waiting:
            self._admit()

    def reserve(self, size: int) -> bool:
        """Reserve *size* bytes if there is room and no body waits; return whether it did."""
        if self._waiting or not self._fits(size):
            return False
        self.used += size
        return True

    async def reserve_in_turn(self, size: int) -> None:
        """Wait until *size* bytes are reserved. Raise NoBodyMemory if that takes too long."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            async with asyncio.timeout(self.wait):
                await turn
        except BaseException as error:
            self._give_up(size, turn)
            if not isinstance(error, TimeoutError):
                raise
            self.refused += 1
            message = "buffered request bodies use all memory that `buffers` allows"
            raise NoBodyMemory(message, retry_after=_SOON) from None

    def _give_up(self, size: int, turn: asyncio.Future[None]) -> None:
        if turn.done() and not turn.cancelled():
            self.free(size)
        elif (size, turn) in self._waiting:
            self._waiting.remove((size, turn))
            self._admit()

    def _fits(self, size: int) -> bool:
        """Whether *size* bytes fit. A body larger than the total must be the only one."""
        return self.used + size <= self.total or not self.used

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size, turn = self._waiting.popleft()
            if not turn.done():  # else it has just timed out
                self.used += size
                turn.set_result(None)
