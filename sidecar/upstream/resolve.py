"""Names to addresses, asked again as they change; a failing server leaves the last good answer."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

from sidecar.errors import ConnectFailed

if TYPE_CHECKING:
    from aiohappyeyeballs import AddrInfoType


class Name:
    """A host and port, resolved at most every *refresh* seconds, once for all who ask."""

    def __init__(self, host: str, port: int, refresh: float) -> None:
        self.host = host
        self.port = port
        self.refresh = refresh
        self._found: list[AddrInfoType] = []
        self._asked = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    @property
    def addresses(self) -> frozenset[str]:
        """The addresses of the last good answer."""
        return frozenset(str(info[4][0]) for info in self._found)

    async def get(self) -> list[AddrInfoType]:
        """Its addresses. Raise ConnectFailed when there never was an answer."""
        if time.monotonic() - self._asked >= self.refresh:
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask())
            await asyncio.shield(self._asking)
        if not self._found:
            raise ConnectFailed(f"the name {self.host} does not resolve", code="resolve_failed")
        return self._found

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._found = list(
                await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            )
            self._asked = time.monotonic()
        except (OSError, UnicodeError):
            if self._found:  # ask again soon, meanwhile the old ones may serve
                self._asked = time.monotonic() - self.refresh * 0.9
        finally:
            self._asking = None
