"""Streamed calls: how long each chunk takes from the upstream's write to here.

`python -m bench.streams PORT CONNECTIONS CALLS STEPS` prints one JSON object. CALLS streams run one
after another on each connection; STEPS is 1 where the chunks of all of them are to come together.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import sys
import time
from typing import Final, cast

import uvloop

from bench import messages, provider
from bench.load import percentile

_STAMP: Final = re.compile(re.escape(messages.STAMP_MARK) + rb"(\d+) ")
_END: Final = b"\r\n0\r\n\r\n"
_LIMIT: Final = 100.0  # seconds for everything


class Record:
    """What all connections saw together."""

    def __init__(self, connections: int, calls: int, host: str, steps: bool) -> None:
        marks = (messages.STREAM_MARK, messages.STEPS_MARK)[: 1 + steps]
        self.request = provider.requests(host, messages.body(*marks))
        self.calls = calls
        self.left = connections * calls
        self.delays: list[int] = []  # nanoseconds
        self.reads = 0  # reads that brought at least one chunk
        self.errors = 0
        self.done = asyncio.Event()


class Client(asyncio.Protocol):
    """One keep-alive connection."""

    __slots__ = ("calls", "record", "rest", "transport")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.calls = record.calls
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.record.errors += 1
        self.record.done.set()

    def send(self) -> None:
        """Ask for the next stream."""
        self.transport.write(self.record.request())

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        data = self.rest + data
        record = self.record
        stamps = list(_STAMP.finditer(data))
        if stamps:
            record.reads += 1
            record.delays.extend([now - int(stamp[1]) for stamp in stamps])
            data = data[stamps[-1].end() :]  # what follows may begin a stamp that was cut
        if data.endswith(_END) and b"[DONE]" in data:
            data = b""
            self._end()
        elif data.startswith(b"HTTP/1.1 ") and len(data) >= 12 and data[9:12] != b"200":
            record.errors += 1
            record.done.set()
        self.rest = data

    def _end(self) -> None:
        self.calls -= 1
        self.record.left -= 1
        if not self.record.left:
            self.record.done.set()
        elif self.calls:
            self.send()


async def _measure(port: int, connections: int, calls: int, steps: int) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    record = Record(connections, calls, f"127.0.0.1:{port}", bool(steps))
    for _ in range(connections):
        _, client = await loop.create_connection(lambda: Client(record), "127.0.0.1", port)
        client.send()
    await asyncio.wait_for(record.done.wait(), _LIMIT)
    if record.errors or not record.delays:
        raise SystemExit(f"{record.errors} connections failed, {len(record.delays)} chunks came")
    ordered = sorted(record.delays)
    return {
        "streams": connections * calls,
        "chunks": len(ordered),
        "p50_us": percentile(ordered, 0.5) / 1e3,
        "p99_us": percentile(ordered, 0.99) / 1e3,
        "alone": record.reads / len(ordered),
    }


if __name__ == "__main__":
    gc.disable()
    print(json.dumps(uvloop.run(_measure(*map(int, sys.argv[1:])))))
