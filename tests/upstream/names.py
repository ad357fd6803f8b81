"""A resolver that a test is."""

from __future__ import annotations

import asyncio
import socket

from sidecar.upstream.connect.resolver import AddrInfo, Lookups
from tests.sockets.peers import until


class Names:
    """Answers what is looked up, while `gate` is open. What `answers` has not does not exist.

    `tests.conftest` puts the system's resolver back in its place.
    """

    def __init__(self, **answers: list[str]) -> None:
        self.answers = answers
        self.asked = 0
        self.waiting = 0
        self.error: Exception | None = None
        """Raised instead of an answer: the resolver fails."""
        self.gate = asyncio.Event()
        self.gate.set()

        async def find(_: Lookups, host: str) -> list[AddrInfo]:
            return await self.find(host)

        Lookups.find = find  # type: ignore[assignment, method-assign]

    async def asks_again(self) -> None:
        """Wait for the next question, and for what its answer leads to."""
        before = self.asked
        while self.asked == before:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await turns()

    async def answers_one(self) -> None:
        """Answer the question that waits at the closed gate, or the next, and no other."""
        await until(lambda: self.waiting > 0)
        self.gate.set()
        self.gate.clear()
        await turns()

    async def find(self, host: str) -> list[AddrInfo]:
        self.asked += 1
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        if self.error is not None:
            raise self.error
        if not self.answers.get(host):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 0)) for a in self.answers[host]]


async def turns(count: int = 10) -> None:
    """Let whatever can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)
