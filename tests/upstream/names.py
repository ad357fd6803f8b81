"""A name server that a test is."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

Info = tuple[int, int, int, str, tuple[str, int]]


class Names:
    """Answers what this loop asks of `getaddrinfo`, while `gate` is open; addresses at once."""

    def __init__(self, **answers: list[str]) -> None:
        self.answers = answers
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()
        cast("Any", asyncio.get_running_loop()).getaddrinfo = self._getaddrinfo

    async def asks_again(self) -> None:
        """Wait for the next question, and for what its answer leads to."""
        before = self.asked
        while self.asked == before:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await turns()

    async def _getaddrinfo(self, host: str, port: int, **_: object) -> list[Info]:
        if host[0].isdigit():
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
        self.asked += 1
        await self.gate.wait()
        if not self.answers.get(host):
            raise socket.gaierror("unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in self.answers[host]]


async def turns(count: int = 10) -> None:
    """Let whatever can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)
