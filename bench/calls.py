"""Calls at a fixed rate, so that the latency of fast and slow proxies can be compared.

`python -m bench.calls PORT CONNECTIONS RATE SECONDS` prints one JSON object. The load is open: a
call that finds every connection busy waits, and its wait counts (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections import deque
from typing import Final, cast

import uvloop

from bench import messages, provider
from bench.load import percentile

_TICK: Final = 0.001  # uvloop's timers count in milliseconds
_LATE: Final = 10.0  # seconds to wait for the last replies


class Load:
    """Sends due calls over idle connections and keeps each call's latency."""

    def __init__(self, rate: float, total: int, host: str) -> None:
        self.rate = rate
        self.total = total
        self.request = provider.requests(host, messages.body())
        self.idle: list[Client] = []
        self.waiting: deque[float] = deque()
        self.latencies: list[float] = []
        self.sent = 0
        self.errors = 0
        self.done = asyncio.Event()

    def start(self) -> None:
        """Begin to send, now."""
        self.begin = time.perf_counter()
        self._tick()

    def _tick(self) -> None:
        now = time.perf_counter()
        due = min(self.total, int((now - self.begin) * self.rate) + 1)
        while self.sent < due:
            self.sent += 1
            if self.idle:
                self.idle.pop().send(now)
            else:
                self.waiting.append(now)
        if self.sent < self.total:
            asyncio.get_running_loop().call_later(_TICK, self._tick)

    def finished(self, client: Client, *, good: bool) -> None:
        """Book *client*'s reply; give the client the next call that waits."""
        self.errors += not good
        self.latencies.append(time.perf_counter() - client.since)
        if len(self.latencies) == self.total:
            self.done.set()
        if self.waiting:
            client.send(self.waiting.popleft())
        else:
            self.idle.append(client)


class Client(asyncio.Protocol):
    """One keep-alive connection."""

    __slots__ = ("load", "received", "since", "transport")

    def __init__(self, load: Load) -> None:
        self.load = load
        self.received = b""
        self.since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.load.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.load.errors += 1
        self.load.done.set()

    def send(self, since: float) -> None:
        """Send a call that has been due since *since*."""
        self.since = since
        self.transport.write(self.load.request())

    def data_received(self, data: bytes) -> None:
        self.received += data
        # Every reply is the upstream's JSON; its end tells that it is whole.
        if self.received.endswith(b'"service_tier":"default"}'):
            good = self.received.startswith(b"HTTP/1.1 200")
            self.received = b""
            self.load.finished(self, good=good)


async def _measure(port: int, connections: int, rate: float, seconds: float) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    load = Load(rate, int(rate * seconds), f"127.0.0.1:{port}")
    for _ in range(connections):
        await loop.create_connection(lambda: Client(load), "127.0.0.1", port)
    load.start()
    await asyncio.wait_for(load.done.wait(), seconds + _LATE)
    ordered = sorted(load.latencies)
    if load.errors or len(ordered) < load.total:
        raise SystemExit(f"{load.errors} errors in {len(ordered)} of {load.total} calls")
    return {
        "calls": len(ordered),
        "p50_us": percentile(ordered, 0.5) * 1e6,
        "p99_us": percentile(ordered, 0.99) * 1e6,
    }


if __name__ == "__main__":
    gc.disable()
    port, connections, rate, seconds = sys.argv[1:]
    print(
        json.dumps(uvloop.run(_measure(int(port), int(connections), float(rate), float(seconds))))
    )
