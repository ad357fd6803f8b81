"""Several sidecar processes share limits and budgets through a Redis that fails in every way.

`SHARED_SECONDS=10 pytest tests/test_shared_processes.py -s` keeps each state for so long.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from sidecar.store.ledger import Ledger, read
from tests.sockets.scripted import chat
from tests.sockets.test_budgets import answer
from tests.store.redis_server import RedisServer
from tests.test_app import free_port

SECONDS = float(os.environ.get("SHARED_SECONDS", "0.7"))
"""How long each state of Redis lasts."""
PATIENCE = 60.0
"""Seconds after which a test gives up."""
TOKENS = 10
"""Of each call."""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer.started(tmp_path)
    yield server
    server.stop()


class Way:
    """A way to Redis that can be slow."""

    def __init__(self, redis: RedisServer) -> None:
        self._redis = redis
        self.delay = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            there = await asyncio.open_unix_connection(self._redis.socket)
            await asyncio.gather(self._carry(reader, there[1]), self._carry(there[0], writer))
        writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await asyncio.sleep(self.delay)
                writer.write(data)
        writer.close()


class Load:
    """Calls, and the server that answers them."""

    def __init__(self) -> None:
        self.statuses: Counter[bytes] = Counter()
        self.going = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await reader.readexactly(size)
                writer.write(answer())
        writer.close()

    async def call(self, port: int, pause: float) -> None:
        """Make calls while this goes on, or until the sidecar is killed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while self.going:
                writer.write(chat(max_tokens=4))
                head = await reader.readuntil(b"\r\n\r\n")
                size = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(size))
                self.statuses[head[9:12]] += 1
                await asyncio.sleep(pause)
        writer.close()


class Process:
    """A sidecar."""

    def __init__(self, ports: tuple[int, int], ledger: str) -> None:
        self.port, self.admin = ports
        self.ledger = ledger
        self.kill: Callable[[], None]

    async def shows(self, path: str) -> Any:
        """What its admin API says."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.admin)
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
        )
        body = (await reader.read()).partition(b"\r\n\r\n")[2]
        writer.close()
        return json.loads(body)

    async def total(self) -> float:
        """What it says that all have spent."""
        ((_, spent),) = (await self.shows("/budgets"))[0]["spent"].items()
        return float(spent)

    async def available(self) -> bool:
        return bool((await self.shows("/limits"))["store"]["available"])


@asynccontextmanager
async def process(
    folder: Path, name: str, server: int, redis: int, requests: int
) -> AsyncIterator[Process]:
    """Run a sidecar."""
    (folder / name).mkdir(exist_ok=True)
    started = Process((free_port(), free_port()), str(folder / name / "ledger.db"))
    config = {
        "listeners": [{"address": f"127.0.0.1:{started.port}"}],
        "upstreams": {"u": {"endpoints": [{"url": f"http://127.0.0.1:{server}"}]}},
        "routes": [{"name": "r", "upstream": "u"}],
        "policies": {"default": {"limits": {"tokens": {"requests": requests, "redis": True}}}},
        "store": {"redis": {"url": f"redis://127.0.0.1:{redis}"}},
        "budgets": {
            "ledger": started.ledger,
            "limits": {"b": {"per": "month", "tokens": 10**12, "redis": True}},
        },
        "access_log": {"path": None},
        "admin": {"address": f"127.0.0.1:{started.admin}"},
    }
    file = folder / name / "sidecar.yaml"
    file.write_text(json.dumps(config))
    log = file.with_name("log")
    with log.open("wb") as stderr:
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sidecar", "run", "-c", str(file), stderr=stderr
        )
    started.kill = running.kill
    try:
        while True:
            assert running.returncode is None, log.read_text()
            with suppress(ConnectionError):
                await started.shows("/limits")
                break
            await asyncio.sleep(0.01)
        yield started
    finally:
        with suppress(ProcessLookupError):
            running.terminate()
        await running.wait()


@asynccontextmanager
async def fleet(
    folder: Path, redis: RedisServer, load: Load, requests: int
) -> AsyncIterator[tuple[list[Process], Way]]:
    """Three sidecars."""
    async with servers(redis, load) as (ports, way), AsyncExitStack() as stack:
        sidecars = [
            await stack.enter_async_context(process(folder, name, *ports, requests))
            for name in "abc"
        ]
        await until(sidecars, lambda each: peers(each, len(sidecars)))
        yield sidecars, way


@asynccontextmanager
async def servers(redis: RedisServer, load: Load) -> AsyncIterator[tuple[tuple[int, int], Way]]:
    """The server that answers calls, and the way to Redis. Yields their ports."""
    way = Way(redis)
    async with AsyncExitStack() as stack:
        ports = []
        for serve in (load.serve, way.serve):
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            stack.callback(server.close)
            ports.append(server.sockets[0].getsockname()[1])
        yield (ports[0], ports[1]), way


async def peers(sidecar: Process, count: int) -> bool:
    return bool((await sidecar.shows("/limits"))["store"]["peers"] == count)


async def until(sidecars: list[Process], condition: Callable[[Process], Any]) -> None:
    """Wait until *condition* holds for all."""
    end = time.monotonic() + PATIENCE
    for sidecar in sidecars:
        while not await condition(sidecar):
            assert time.monotonic() < end
            await asyncio.sleep(0.05)


async def test_no_call_fails_for_redis_and_all_is_settled(
    tmp_path: Path, redis: RedisServer
) -> None:
    load = Load()
    async with fleet(tmp_path, redis, load, requests=10**6) as (sidecars, way):
        calls = [asyncio.create_task(load.call(each.port, 0.005)) for each in sidecars * 2]

        async def gone() -> None:
            await until(sidecars, lambda each: _not(each.available()))
            await asyncio.sleep(SECONDS)

        async def back() -> None:
            await until(sidecars, Process.available)
            await asyncio.sleep(SECONDS)

        await back()
        way.delay = 0.1
        await asyncio.sleep(2 * SECONDS)
        way.delay = 0.0
        redis.freeze()
        await gone()
        redis.thaw()
        await back()
        redis.stop()
        await gone()
        redis.start()  # empty
        await back()
        load.going = False
        await asyncio.gather(*calls)
        assert set(load.statuses) == {b"200"}
        spent = load.statuses[b"200"] * TOKENS

        async def known(sidecar: Process) -> bool:
            return await sidecar.total() == spent

        await until(sidecars, known)
    assert sum(sum(read(each.ledger).values()) for each in sidecars) == spent
    sys.stdout.write(f"{spent // TOKENS} calls\n")


async def test_what_a_killed_sidecar_spent_counts_once(tmp_path: Path, redis: RedisServer) -> None:
    load = Load()
    async with (
        servers(redis, load) as (ports, _),
        process(tmp_path, "other", *ports, 10**6) as other,
    ):
        for _ in range(3):
            async with process(tmp_path, "killed", *ports, 10**6) as killed:
                calls = [asyncio.create_task(load.call(killed.port, 0.002)) for _ in range(4)]
                calls.append(asyncio.create_task(load.call(other.port, 0.002)))
                await asyncio.sleep(SECONDS)
                killed.kill()
                await asyncio.gather(*calls[:4])
                load.going = False
                await calls[4]
                load.going = True
        async with process(tmp_path, "killed", *ports, 10**6) as again:

            async def known(sidecar: Process) -> bool:
                return await sidecar.total() == in_ledgers(other, again)

            await until([other, again], known)
            spent = in_ledgers(other, again)
        done = load.statuses[b"200"] * TOKENS
        assert done - 3 * 4 * TOKENS <= spent <= done + 3 * 4 * TOKENS  # what was in flight


def in_ledgers(*sidecars: Process) -> float:
    spent = 0.0
    for sidecar in sidecars:
        with closing(Ledger(sidecar.ledger)) as ledger:
            spent += sum(each.spent for each in ledger.sums())
    return spent


async def _not(what: Any) -> bool:
    return not await what


async def test_all_together_keep_a_limit(tmp_path: Path, redis: RedisServer) -> None:
    load, limit = Load(), 600
    async with fleet(tmp_path, redis, load, requests=limit) as (sidecars, _):
        began = time.monotonic()
        calls = [asyncio.create_task(load.call(each.port, 0.005)) for each in sidecars * 3]
        while load.statuses[b"429"] < 200 or load.statuses[b"200"] < limit * 0.95:
            assert time.monotonic() - began < 50, load.statuses
            await asyncio.sleep(0.05)
        await asyncio.sleep(SECONDS)
        load.going = False
        await asyncio.gather(*calls)
        if time.monotonic() - began < 60:  # else more is right
            # Exactly the limit, if no answer takes longer than 2 ms, as it may on a busy machine.
            assert limit * 0.95 <= load.statuses[b"200"] <= limit * 1.05
        sys.stdout.write(f"{load.statuses[b'200']} calls of {limit}\n")
