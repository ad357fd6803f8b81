"""Two sidecars that share a ledger are killed under load, again and again.

`LEDGER_ROUNDS=200 pytest tests/test_killed_ledger.py -s` is the long run.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from sidecar.store.ledger import read
from tests.sockets.peers import until
from tests.sockets.scripted import chat
from tests.sockets.test_budgets import answer
from tests.test_app import free_port

ROUNDS = int(os.environ.get("LEDGER_ROUNDS", "4"))
CALLERS = 8
"""Of each sidecar; each makes one call after another."""
TOKENS = 10
"""Of each call."""


class Load:
    """Counts the calls that a server has seen, and those whose callers have got the reply."""

    def __init__(self) -> None:
        self.seen = 0
        self.ended = 0
        self.left = False
        """Whether a caller has stopped."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await reader.readexactly(size)
                self.seen += 1
                await asyncio.sleep(0.002)
                writer.write(answer())
        writer.close()

    async def call(self, port: int) -> None:
        """Make calls until the sidecar is gone."""
        try:
            await self._call(port)
        finally:
            self.left = True

    async def _call(self, port: int) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                while True:
                    writer.write(chat())
                    head = await reader.readuntil(b"\r\n\r\n")
                    assert head.startswith(b"HTTP/1.1 200"), head
                    size = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                    await reader.readexactly(int(size))
                    self.ended += 1
            finally:
                writer.close()


@asynccontextmanager
async def sidecar(folder: Path, name: str, server: int) -> AsyncIterator[int]:
    """Run one that has a budget that is never spent; kill it. Yields its port."""
    port, file = free_port(), folder / f"{name}.yaml"
    config = {
        "listeners": [{"address": f"127.0.0.1:{port}"}],
        "upstreams": {"u": {"endpoints": [{"url": f"http://127.0.0.1:{server}"}]}},
        "routes": [{"upstream": "u"}],
        "budgets": {
            "ledger": str(folder / "ledger.db"),
            "limits": {"b": {"per": "month", "tokens": 10**12}},
        },
        "access_log": {"path": None},
        "admin": {"address": None},
    }
    file.write_text(json.dumps(config))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sidecar", "run", "-c", str(file), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        while process.returncode is None:
            with suppress(ConnectionError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            await asyncio.sleep(0.01)
        assert process.returncode is None, "it does not start"
        yield port
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_no_more_is_lost_than_was_in_flight_and_nothing_counts_twice(
    tmp_path: Path,
) -> None:
    load, lost, choice = Load(), [], random.Random()
    server = await asyncio.start_server(load.serve, "127.0.0.1", 0)
    target = server.sockets[0].getsockname()[1]
    counted = 0
    for _ in range(ROUNDS):
        load.seen, load.ended, load.left = 0, 0, False
        async with sidecar(tmp_path, "a", target) as a, sidecar(tmp_path, "b", target) as b:
            calls = [asyncio.create_task(load.call(port)) for port in [a, b] * CALLERS]
            await until(lambda: load.ended > 2 * CALLERS or load.left)
            await asyncio.sleep(choice.uniform(0.0, 0.3))
        await asyncio.gather(*calls)
        total = round(sum(read(str(tmp_path / "ledger.db")).values()) / TOKENS)
        now, counted = total - counted, total
        assert now <= load.seen, "a call was counted twice"
        lost.append(load.seen - now)
        assert lost[-1] <= 2 * CALLERS, "more was lost than was in flight"
    server.close()
    sys.stdout.write(f"{counted} calls counted, lost in {len(lost)} rounds: {sorted(lost)}\n")
