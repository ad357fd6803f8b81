"""A configuration that never changes: the built-in providers, or a program's own text."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

from sidecar import __version__
from sidecar.config.defaults import FILE, default_text
from sidecar.control.sources.base import Text
from sidecar.observe.reload_stats import SourceStats


class FixedSource:
    """*text*, or without one the well-known providers, by this version of the sidecar."""

    def __init__(self, text: str | None = None) -> None:
        self.stats = SourceStats(FILE)
        self._text = text

    def read(self) -> Text:
        """Return the text."""
        self.stats.heard(__version__)
        return Text(default_text() if self._text is None else self._text, self.stats.revision)

    def accepted(self) -> None:
        """Do nothing: it is always there."""

    def last_good(self) -> Text | None:
        """Return None: a text that never changes has no better one."""
        return None

    async def watch(self, changed: Callable[[], Awaitable[None]]) -> NoReturn:
        """Wait for ever."""
        while True:
            await asyncio.get_running_loop().create_future()
