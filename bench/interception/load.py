"""Load, from the load's core: `python -m bench.interception.load KIND PORT TARGET [CA]`.

PORT is the proxy's. TARGET is what it is asked to CONNECT to, or `-` where it knows by itself.
Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import uvloop

from bench import messages, provider
from bench.load import percentile

_CONNECTIONS: Final = 32
_CALLS: Final = 8_000
_TRIPS: Final = 20_000
_IDLE: Final = 1_000
_LARGE: Final = 4


async def _connect(port: int, target: str) -> socket.socket:
    """A connection through the proxy."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    await loop.sock_connect(sock, ("127.0.0.1", port))
    if target != "-":
        await loop.sock_sendall(sock, f"CONNECT {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await loop.sock_recv(sock, 200)
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"CONNECT: {head[:60]!r}")
    return sock


async def calls(port: int, target: str, ca: str) -> dict[str, float]:
    """Calls over TLS on connections that are kept, as many at once as there are connections."""
    context = ssl.create_default_context(cafile=ca)
    request = provider.requests("llm.bench", messages.body())
    latencies: list[float] = []
    left = _CALLS

    async def caller(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            begin = time.perf_counter()
            writer.write(request())
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().split(b"content-length: ")[1].split(b"\r")[0])
            await reader.readexactly(size)
            latencies.append(time.perf_counter() - begin)
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"a call failed: {head[:60]!r}")

    pairs = [
        await asyncio.open_connection(
            sock=await _connect(port, target), ssl=context, server_hostname="llm.bench"
        )
        for _ in range(_CONNECTIONS)
    ]
    begin = time.perf_counter()
    await asyncio.gather(*(caller(*pair) for pair in pairs))
    ordered = sorted(latencies)
    return {
        "count": len(ordered),
        "seconds": time.perf_counter() - begin,
        "p50_us": percentile(ordered, 0.5) * 1e6,
        "p99_us": percentile(ordered, 0.99) * 1e6,
    }


async def handshakes(port: int, target: str, ca: str) -> dict[str, float]:
    """Connections over TLS, each for one call."""
    context = ssl.create_default_context(cafile=ca)
    request = provider.requests("llm.bench", messages.body())
    begin = time.perf_counter()
    for _ in range(500):
        reader, writer = await asyncio.open_connection(
            sock=await _connect(port, target), ssl=context, server_hostname="llm.bench"
        )
        writer.write(request())
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()
    return {"count": 500, "seconds": time.perf_counter() - begin}


async def large(port: int, target: str, ca: str) -> dict[str, float]:
    """Large replies, one after the other, which the kernel drops unread."""
    loop = asyncio.get_running_loop()
    begin = time.perf_counter()
    for _ in range(_LARGE):
        sock = await _connect(port, target)
        await loop.sock_sendall(sock, f"GET {messages.LARGE_PATH} HTTP/1.1\r\n\r\n".encode())
        sock.setblocking(True)
        missing, rest = messages.LARGE_BYTES, bytearray(2**20)
        while missing > 0:
            got = sock.recv_into(rest, 2**20, socket.MSG_TRUNC)
            if not got:
                raise SystemExit("the reply is short")
            missing -= got
        sock.close()
    return {
        "count": _LARGE * messages.LARGE_BYTES / 2**30,
        "seconds": time.perf_counter() - begin,
    }


async def trips(port: int, target: str, ca: str) -> dict[str, float]:
    """A hundred bytes there and back, on one connection."""
    sock = await _connect(port, target)
    sock.setblocking(True)
    message = bytes(100)
    begin = time.perf_counter()
    for _ in range(_TRIPS):
        sock.sendall(message)
        got = 0
        while got < len(message):
            got += len(sock.recv(4096))
    return {"count": _TRIPS, "seconds": time.perf_counter() - begin}


async def idle(port: int, target: str, ca: str) -> dict[str, float]:
    """Connections that have carried a little and rest, until there is input."""
    loop = asyncio.get_running_loop()
    socks = [await _connect(port, target) for _ in range(_IDLE)]
    for sock in socks:
        await loop.sock_sendall(sock, b"\0hello")
        await loop.sock_recv(sock, 100)
    print("resting", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    return {"count": len(socks), "seconds": 0.0}


Kind = Callable[[int, str, str], Coroutine[Any, Any, dict[str, float]]]
KINDS: Final[dict[str, Kind]] = {
    "calls": calls,
    "handshakes": handshakes,
    "large": large,
    "trips": trips,
    "idle": idle,
}


if __name__ == "__main__":
    kind, port, target, *ca = sys.argv[1:]
    print(json.dumps(uvloop.run(KINDS[kind](int(port), target, ca[0] if ca else ""))))
