"""Clients that want more or less of a quota, and retry as the SDKs of OpenAI and Anthropic do."""

from __future__ import annotations

import asyncio
import random
import re
import time
from dataclasses import dataclass
from typing import Final

from bench.sharing import CLIENT

_RETRIES: Final = 2
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 8.0
_OBEYED: Final = 60.0
"""Seconds: a longer `retry-after` is not obeyed."""
_OPEN: Final = 100
"""Calls that a client has open at once, at most."""
_BODY: Final = b'{"model":"m","messages":[{"role":"user","content":"%b"}]}' % (
    b"Say yes or no. " * 50
)
_HEAD: Final = (
    "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer sk-none\r\n"
    f"Content-Type: application/json\r\nContent-Length: {len(_BODY)}\r\n"
    f"X-Stainless-Retry-Count: %d\r\nX-Stainless-Read-Timeout: 600\r\n{CLIENT}: %d\r\n\r\n"
)
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_AFTER_MS: Final = re.compile(rb"\r\nretry-after-ms: *([0-9.]+)\r\n", re.IGNORECASE)
_AFTER: Final = re.compile(rb"\r\nretry-after: *([0-9.]+)\r\n", re.IGNORECASE)
_NEVER: Final = re.compile(rb"\r\nx-should-retry: *false\r\n", re.IGNORECASE)
Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Counts:
    """What became of the calls of a client in a phase."""

    asked: int = 0
    got: int = 0
    failed: int = 0
    tries: int = 0
    refused: int = 0
    """Tries that got 429, from whomever."""


class Client:
    """Calls of one application, at random times."""

    def __init__(self, number: int, port: int) -> None:
        self._number, self._port = number, port
        self._chance = random.Random(number)
        self._free: list[Pipe] = []
        self._open: set[asyncio.Task[None]] = set()
        self.wants = 0.0
        """Calls a second."""
        self.counts = Counts()

    def begin(self, wants: float) -> None:
        """Want so many calls a second from now on, and count anew."""
        self.wants = wants
        self.counts = Counts(asked=len(self._open))

    async def run(self) -> None:
        """Make calls until it is cancelled."""
        try:
            while True:
                await asyncio.sleep(self._chance.expovariate(self.wants))
                if len(self._open) < min(_OPEN, max(2.0, self.wants * 20)):
                    self.counts.asked += 1
                    task = asyncio.create_task(self._call())
                    self._open.add(task)
                    task.add_done_callback(self._open.discard)
        finally:
            for task in tuple(self._open):
                task.cancel()
            for _, writer in self._free:
                writer.close()

    async def _call(self) -> None:
        for retry in range(_RETRIES + 1):
            head = await self._try(retry)
            self.counts.tries += 1
            if head.startswith(b"HTTP/1.1 200"):
                self.counts.got += 1
                return
            self.counts.refused += head.startswith(b"HTTP/1.1 429")
            if retry == _RETRIES or _NEVER.search(head):
                break
            await asyncio.sleep(self._wait(head, retry))
        self.counts.failed += 1

    def _wait(self, head: bytes, retry: int) -> float:
        for pattern, unit in ((_AFTER_MS, 1000), (_AFTER, 1)):
            if (found := pattern.search(head)) and 0 < float(found[1]) / unit <= _OBEYED:
                return float(found[1]) / unit
        wait = min(_FIRST_WAIT * 2.0**retry, _LONGEST_WAIT)
        return wait * (1 - 0.25 * self._chance.random())

    async def _try(self, retry: int) -> bytes:
        """Send the call. Return the reply's head; empty if there is none."""
        pipe = self._free.pop() if self._free else None
        try:
            if pipe is None:
                pipe = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = pipe
            writer.write((_HEAD % (retry, self._number)).encode() + _BODY)
            head = await reader.readuntil(b"\r\n\r\n")
            if length := _LENGTH.search(head):
                await reader.readexactly(int(length[1]))
        except (OSError, asyncio.IncompleteReadError):
            if pipe is not None:
                pipe[1].close()
            return b""
        except asyncio.CancelledError:
            if pipe is not None:
                pipe[1].close()
            raise
        self._free.append(pipe)
        return head


async def asked_at(port: int) -> list[tuple[float, int, bool, float]]:
    """Return what the provider was asked so far."""
    import json

    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**26)
    writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    assert length is not None
    content = await reader.readexactly(int(length[1]))
    writer.close()
    asked: list[tuple[float, int, bool, float]] = json.loads(content)
    return asked


def now() -> float:
    """The provider's clock, since both are of one machine."""
    return time.monotonic()
