"""What batches of embeddings save and cost: `.venv/bin/python -m bench.embeddings`.

The sidecar has a core of its own; the load and the server behind it share the other. Each kind of
sidecar (no batches, `window: 5ms`, `window: auto`) gets the same loads in turn: 2,000 single-item
calls at once, Poisson streams of such calls, and one caller who sends a call after the other. Each
reply must have the vector of its item. The server takes 20 ms for a call.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import uvloop

from bench.load import percentile
from bench.process import LOAD_CORE, Process

_SECONDS: Final = 0.02
"""That the server takes for a call."""
_TAIL: Final = b"," + b",".join(b"-0.0%017d" % (7**n % 10**17) for n in range(255)) + b"]"
_AT_ONCE: Final = 2000
_KINDS: Final[dict[str, dict[str, Any] | None]] = {
    "off": None,
    "window: 5ms": {"window": "5ms"},
    "window: auto": {"window": "auto"},
}


def vector(item: bytes) -> bytes:
    """The vector of the text `tN`: it begins with N."""
    return b"[%b.25%b" % (item.strip(b't"'), _TAIL)


class Server(asyncio.Protocol):
    """One connection to the server. It counts the calls."""

    calls = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.pending = b""

    def data_received(self, data: bytes) -> None:
        data = self.pending + data
        end = data.find(b"\r\n\r\n") + 4
        self.pending = data
        if end < 4 or len(data) < end + _length(data[:end]):
            return
        self.pending = b""
        if data.startswith(b"GET"):
            self._says(b"%d" % Server.calls)
            return
        Server.calls += 1
        given = json.loads(data[end:])["input"]
        items = [given] if isinstance(given, str) else given
        asyncio.get_running_loop().call_later(_SECONDS, self._answers, items)

    def _answers(self, items: list[str]) -> None:
        rows = b",".join(
            b'{"object":"embedding","index":%d,"embedding":%b}' % (index, vector(item.encode()))
            for index, item in enumerate(items)
        )
        usage = b'{"prompt_tokens":%d,"total_tokens":%d}' % (len(items), len(items))
        self._says(b'{"object":"list","data":[%b],"model":"m","usage":%b}' % (rows, usage))

    def _says(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self.transport.write(head % len(body) + body)


def _length(head: bytes) -> int:
    low = head.lower()
    at = low.find(b"content-length: ")
    return 0 if at < 0 else int(low[at + 16 : low.find(b"\r", at)])


class Client(asyncio.Protocol):
    """One connection to the sidecar, with one call at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.got = b""

    def asks(self, number: int, since: float, done: Callable[[Client, float], None]) -> None:
        body = b'{"model":"m","input":"t%d"}' % number
        self.since, self.done, self.number = since, done, number
        self.transport.write(
            b"POST /v1/embeddings HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer k\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )

    def data_received(self, data: bytes) -> None:
        self.got += data
        end = self.got.find(b"\r\n\r\n") + 4
        if end < 4 or len(self.got) < end + _length(self.got[:end]):
            return
        reply, self.got = self.got, b""
        mine = b'"index":0,"embedding":[%d.25,' % self.number
        assert mine in reply, reply[:400]
        assert reply.count(b'"index"') == 1, reply[:400]
        self.done(self, time.perf_counter() - self.since)


class Load:
    """Clients of one sidecar."""

    def __init__(self, clients: list[Client]) -> None:
        self.clients = clients
        self.taken: list[float] = []

    async def at_once(self, calls: int) -> None:
        over = asyncio.get_running_loop().create_future()

        def done(client: Client, seconds: float) -> None:
            self.taken.append(seconds)
            if len(self.taken) == calls:
                over.set_result(None)

        now = time.perf_counter()
        for number in range(calls):
            self.clients[number].asks(number, now, done)
        await over

    async def poisson(self, rate: float, seconds: float) -> None:
        """Calls at random times. One that finds no connection waits, which counts."""
        free = self.clients[:]
        waiting: list[tuple[int, float]] = []
        left = 0
        over = asyncio.Event()

        def done(client: Client, taken: float) -> None:
            nonlocal left
            left -= 1
            if not left:
                over.set()
            self.taken.append(taken)
            if waiting:
                client.asks(*waiting.pop(0), done)
            else:
                free.append(client)

        rng, due, number = random.Random(5), time.perf_counter(), 0
        end = due + seconds
        while due < end:
            while due <= time.perf_counter():
                left += 1
                over.clear()
                if free:
                    free.pop().asks(number, due, done)
                else:
                    waiting.append((number, due))
                number += 1
                due += rng.expovariate(rate)
            await asyncio.sleep(max(0.0, min(0.001, due - time.perf_counter())))
        await over.wait()

    async def one_after_another(self, calls: int) -> None:
        for number in range(calls):
            over = asyncio.get_running_loop().create_future()

            def done(client: Client, seconds: float, over: asyncio.Future[None] = over) -> None:
                self.taken.append(seconds)
                over.set_result(None)

            self.clients[0].asks(number, time.perf_counter(), done)
            await over


class Sample(NamedTuple):
    """What one load came to."""

    calls: int
    upstream: int
    p50: float
    p99: float
    cpu: float
    """Seconds of the sidecar's core."""


class Bench:
    """The sidecars, one for each kind, and the server behind them."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port
        self._sidecars: dict[str, tuple[Process, Load]] = {}

    async def begin(self) -> None:
        """Start the sidecars, and connect."""
        loop = asyncio.get_running_loop()
        for index, (kind, batch) in enumerate(_KINDS.items()):
            path = self._folder / f"{index}.sock"
            config = {
                "listeners": [{"path": str(path)}],
                "upstreams": {"u": {"endpoints": [{"url": f"http://127.0.0.1:{self._port}"}]}},
                "routes": [{"upstream": "u"}],
                "policies": {"default": {"batch": batch}},
                "access_log": {"path": None},
                "admin": {"address": None},
            }
            file = self._folder / f"{index}.yaml"
            file.write_text(json.dumps(config))
            argv = [sys.executable, "-m", "sidecar", "run", "-c", str(file)]
            process = Process(argv, self._folder / f"{index}.log")
            while not path.exists():
                assert not process.ended, process.last_words()
                await asyncio.sleep(0.05)
            clients: list[Client] = []
            while len(clients) < _AT_ONCE:
                try:
                    _, client = await loop.create_unix_connection(Client, str(path))
                    clients.append(client)
                except BlockingIOError:  # more than it has accepted by now
                    await asyncio.sleep(0.01)
            self._sidecars[kind] = process, Load(clients)

    async def run(self, kind: str, act: Callable[[Load], Coroutine[Any, Any, None]]) -> Sample:
        """Put the load *act* on the sidecar of *kind*."""
        process, load = self._sidecars[kind]
        load.taken = []
        before, cpu = await self._count(), process.cpu_ns()
        await act(load)
        spent = (process.cpu_ns() - cpu) / 1e9
        taken = sorted(load.taken)
        upstream = await self._count() - before
        return Sample(len(taken), upstream, percentile(taken, 0.5), percentile(taken, 0.99), spent)

    async def _count(self) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        count = int(await reader.read(20))
        writer.close()
        return count

    def stop(self) -> None:
        """End the sidecars."""
        for process, _ in self._sidecars.values():
            process.stop()


async def _measure(port: int, rounds: int, rates: list[float]) -> None:
    loads: dict[str, Callable[[Load], Coroutine[Any, Any, None]]] = {
        f"{_AT_ONCE:,} at once": lambda load: load.at_once(_AT_ONCE)
    }
    for rate in rates:
        loads[f"{rate:,.0f} a second"] = lambda load, rate=rate: load.poisson(rate, 4.0)  # type: ignore[misc]
    loads["one after another"] = lambda load: load.one_after_another(100)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = Bench(Path(folder), port)
        try:
            await bench.begin()
            for kind in _KINDS:  # connections to the server are made, code is warm
                await bench.run(kind, loads[f"{_AT_ONCE:,} at once"])
            print("| load | sidecar | calls | upstream calls | fewer | p50 | p99 | CPU a call |")
            print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
            for name, act in loads.items():
                got: dict[str, list[Sample]] = {kind: [] for kind in _KINDS}
                for _ in range(rounds):
                    for kind in _KINDS:
                        got[kind].append(await bench.run(kind, act))
                for kind, samples in got.items():
                    print(_row(name, kind, samples), flush=True)
        finally:
            bench.stop()


def _row(name: str, kind: str, samples: list[Sample]) -> str:
    def median(of: Callable[[Sample], float]) -> float:
        return percentile(sorted(map(of, samples)), 0.5)

    return (
        f"| {name} | {kind} | {median(lambda s: s.calls):,.0f} | "
        f"{median(lambda s: s.upstream):,.0f} | {median(lambda s: s.calls / s.upstream):.1f} | "
        f"{median(lambda s: s.p50) * 1e3:.1f} ms | {median(lambda s: s.p99) * 1e3:.1f} ms | "
        f"{median(lambda s: s.cpu / s.calls) * 1e6:.0f} µs |"
    )


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.embeddings", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rates", default="1000,3000", help="calls a second, with commas")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        uvloop.run(_serve())
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.sched_setaffinity(0, {LOAD_CORE})
    with tempfile.NamedTemporaryFile(prefix="bench-") as log:
        argv = [sys.executable, "-m", "bench.embeddings", "--serve"]
        with Process(argv, Path(log.name), LOAD_CORE):
            while not (said := Path(log.name).read_text()):
                time.sleep(0.05)
            rates = [float(rate) for rate in arguments.rates.split(",")]
            uvloop.run(_measure(int(said), arguments.rounds, rates))


if __name__ == "__main__":
    main()
