"""The viewers of the live page, and the clock by which they get what is new.

Nothing is computed while nobody looks. While somebody does, messages come once a second, or less
often where a message takes so long that they would use more than a hundredth of a core.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from sidecar.control.live.feed import Ask, Feed

if TYPE_CHECKING:
    from sidecar.control.inspected import Inspected

_log: Final = logging.getLogger(__name__)
MOST: Final = 8
"""Viewers."""
_EVERY: Final = 1.0
"""Seconds between two messages, at least."""
_SHARE: Final = 0.01
"""Most of a core that they may use."""
_WAITING: Final = 3
"""Messages that wait for a viewer. One that is slower gets everything anew instead."""


class Viewer:
    """What waits for one viewer."""

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._behind = True

    def offer(self, message: bytes) -> None:
        """Have *message* sent, unless too many wait."""
        if self._behind:
            return
        if len(self._messages) >= _WAITING:
            self.start_over()
        else:
            self._messages.append(message)
            self._news.set()

    def start_over(self) -> None:
        """Have everything sent."""
        self._messages.clear()
        self._behind = True
        self._news.set()

    async def next(self, feed: Feed) -> bytes:
        """Return the next message."""
        await self._news.wait()
        if self._behind:
            self._behind = False
            self._news.clear()
            return feed.snapshot()
        message = self._messages.popleft()
        if not self._messages:
            self._news.clear()
        return message


class Hub:
    """Serves viewers in the running loop."""

    def __init__(self, inspected: Inspected, ask: Ask[Any], token: str) -> None:
        self._inspected = inspected
        self._ask = ask
        self._token = token
        self._viewers: set[Viewer] = set()
        self._feed: Feed | None = None
        self._began = False
        self._ticking: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """Whether there is no room for another viewer."""
        return len(self._viewers) >= MOST

    async def watch(self) -> AsyncIterator[bytes]:
        """Yield the messages of one viewer, without end."""
        viewer = Viewer()
        self._viewers.add(viewer)
        try:
            if self._feed is None:
                self._feed = Feed(self._inspected, self._ask, self._token)
                self._ticking = asyncio.create_task(self._tick(self._feed))
            elif self._began:
                viewer.start_over()
            while True:
                yield await viewer.next(self._feed)
        finally:
            self._viewers.discard(viewer)
            if not self._viewers and self._ticking is not None:
                self._ticking.cancel()
                self._feed = self._ticking = None
                self._began = False

    async def _tick(self, feed: Feed) -> None:
        while True:
            took = await self._timed(feed)
            await asyncio.sleep(max(_EVERY, took / _SHARE - took))

    async def _timed(self, feed: Feed) -> float:
        """Make a message for all; return the CPU seconds of this thread that it took."""
        began = time.thread_time()
        try:
            if self._began:
                message = await feed.step()
                for viewer in self._viewers:
                    viewer.offer(message)
            else:
                await feed.begin()
                self._began = True
                for viewer in self._viewers:
                    viewer.start_over()
        except Exception:  # the page shows that nothing comes
            _log.exception("admin: the live page's numbers could not be made")
        return time.thread_time() - began
