"""Simulated endpoints: how long they take, how they fail, and what they have counted."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from math import log
from typing import Any

from sidecar.errors import ConnectFailed
from sidecar.upstream.connect.connection import UpstreamConnection
from sidecar.upstream.connect.pool import Pool

Sample = Callable[[random.Random], float]


def constant(seconds: float) -> Sample:
    return lambda draws: seconds


def exponential(mean: float) -> Sample:
    return lambda draws: draws.expovariate(1 / mean)


def lognormal(median: float, sigma: float) -> Sample:
    return lambda draws: draws.lognormvariate(log(median), sigma)


def uniform(least: float, most: float) -> Sample:
    return lambda draws: draws.uniform(least, most)


class Quota:
    """A provider's token bucket: so many calls a second, and as many at once."""

    def __init__(self, per_second: float, retry_after: float | None = 1.0) -> None:
        self.per_second = per_second
        self.retry_after = retry_after
        self._tokens = per_second
        self._at = 0.0

    def take(self, now: float) -> bool:
        if self._at:
            self._tokens += (now - self._at) * self.per_second
        self._tokens = min(self.per_second, self._tokens)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Server:
    """Answers `POST`s of the sidecar. Everything may be changed while it runs."""

    def __init__(self, number: int = 0, seed: int = 1, **settings: Any) -> None:
        self.name = f"http://192.0.2.{number + 1}"  # no name to be looked up
        self.latency: Sample = constant(0.1)
        self.errors: dict[int, float] = {}
        """Share of the calls that get a status, at once."""
        self.hang = 0.0
        self.down = False
        self.slots = 0
        """Calls that are worked on at once; more wait. 0: any number."""
        self.quota: Quota | None = None
        self.retry_after: float | None = None
        self.head_first: float | None = None
        """Seconds until the head, before the rest; None: all of it comes at once."""
        self.stall = 0.0
        """Share of the calls that take for ever, after their head if that comes first."""
        self.__dict__.update(settings)
        self.arrivals: list[float] = []
        self.bodies: list[bytes] = []
        self.running = 0
        self.queued = 0
        self.most = 0
        """The most calls that were there at once."""
        self.worked = 0.0
        """Seconds of work."""
        self.wasted = 0.0
        """Seconds of work for callers who had gone."""
        self.draws = random.Random(seed * 1000 + number)
        self._free = asyncio.Condition()

    async def serve(self, link: Link, body: bytes) -> None:
        self.arrivals.append(time.monotonic())
        self.bodies.append(body)
        self.most = max(self.most, self.running + self.queued + 1)
        if self.quota is not None and not self.quota.take(time.monotonic()):
            link.reply(429, self.quota.retry_after)
            return
        draw = self.draws.random()
        for status, share in self.errors.items():
            if draw < share:
                await asyncio.sleep(0.005)
                link.reply(status, self.retry_after)
                return
            draw -= share
        if draw < self.hang:
            await asyncio.get_running_loop().create_future()
        await self._work(link, b'"stream":true' in body)

    async def _work(self, link: Link, stream: bool) -> None:
        self.queued += 1
        try:
            async with self._free:
                while self.slots and self.running >= self.slots:
                    await self._free.wait()
        finally:
            self.queued -= 1
        self.running += 1
        began, done = time.monotonic(), False
        seconds = self.latency(self.draws) if self.draws.random() >= self.stall else 1e9
        try:
            if self.head_first is not None:
                await asyncio.sleep(self.head_first)
                link.begin(stream)
            await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
            link.reply(200, stream=stream)
            done = True
        finally:
            spent = time.monotonic() - began
            self.worked += spent
            self.wasted += 0.0 if done else spent
            self.running -= 1
            if self.queued:
                asyncio.get_running_loop().call_soon(self._wake)

    def _wake(self) -> None:
        async def notify() -> None:
            async with self._free:
                self._free.notify()

        asyncio.create_task(notify())  # noqa: RUF006


class Link(asyncio.Transport):
    """The server's side of a connection, as the sidecar's transport."""

    def __init__(self, server: Server, connection: UpstreamConnection) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self._server = server
        self._connection = connection
        self._closed = False
        self._begun = False
        self._task: asyncio.Task[None] | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        body = bytes(data).partition(b"\r\n\r\n")[2]
        self._begun = False
        self._task = asyncio.create_task(self._server.serve(self, body))

    def begin(self, stream: bool) -> None:
        self._begun = True
        kind = b"text/event-stream" if stream else b"application/json"
        self._connection.data_received(
            b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % kind
        )

    def reply(self, status: int, retry_after: float | None = None, stream: bool = False) -> None:
        if stream and not self._begun:
            self.begin(stream)
        if self._begun:
            self._connection.data_received(b"9\r\ndata: 1\n\n\r\n0\r\n\r\n")
            return
        lines = b"" if retry_after is None else b"retry-after-ms: %d\r\n" % (retry_after * 1e3)
        self._connection.data_received(
            b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\n%bContent-Length: 2\r\n\r\n{}"
            % (status, lines)
        )

    def sends(self, data: bytes) -> None:
        """Whatever it is, unless the sidecar has closed the connection."""
        if not self._closed:
            self._connection.data_received(data)

    def ends(self, error: Exception | None) -> None:
        """The connection: in order, or with *error*."""
        if not self._closed and error is None:
            self._connection.eof_received()
        if not self._closed:
            self._closed = True
            self._connection.connection_lost(error)

    def abort(self) -> None:
        if not self._closed:
            self._closed = True
            if self._task is not None:
                self._task.cancel()
            asyncio.get_running_loop().call_soon(self._connection.connection_lost, None)

    def close(self) -> None:
        self.abort()

    def is_closing(self) -> bool:
        return self._closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


async def dial(server: Server, pool: Pool) -> UpstreamConnection:
    """Connect to *server*."""
    await asyncio.sleep(0.0005)
    if server.down:
        raise ConnectFailed(f"can't connect to {server.name}")
    connection = UpstreamConnection(pool)
    connection.connection_made(Link(server, connection))
    return connection
