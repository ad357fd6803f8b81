"""Tells other threads whether the data plane's loop still runs."""

from __future__ import annotations

import asyncio
import time
from typing import Final

BEAT: Final = 5.0
"""Seconds between two beats: one timer, whatever the load."""
STOOD_STILL: Final = 60.0
"""Seconds without a beat after which the loop is taken to hang."""


class Pulse:
    """Beats in the running loop, from its construction to the loop's end."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._beat()

    def _beat(self) -> None:
        self._last = time.monotonic()
        self._loop.call_later(BEAT, self._beat)

    def still(self) -> float:
        """Seconds since the last beat. Call it from any thread."""
        return time.monotonic() - self._last
