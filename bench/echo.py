"""What uvloop alone costs: an echo of small messages in steps over 64 connections.

`python -m bench.echo` pins the server to one core, sends from the other, and prints the server's
CPU microseconds for each message. No program on uvloop passes a chunk on for less.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from typing import Final, cast

import uvloop

from bench.process import LOAD_CORE, PROXY_CORE

_CONNECTIONS: Final = 64
_STEPS: Final = 800
_MESSAGE: Final = b"x" * 200


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


def _send(port: int) -> None:
    os.sched_setaffinity(0, {LOAD_CORE})
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(_CONNECTIONS)]
    for _ in range(_STEPS):
        for client in clients:
            client.sendall(_MESSAGE)
        for client in clients:
            client.recv(len(_MESSAGE))


async def _serve() -> None:
    os.sched_setaffinity(0, {PROXY_CORE})
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    child = os.fork()
    if not child:
        _send(port)
        os._exit(0)
    before = time.process_time()
    await asyncio.to_thread(os.waitpid, child, 0)
    spent = time.process_time() - before
    print(f"{spent / (_STEPS * _CONNECTIONS) * 1e6:.1f} us of CPU a message")


if __name__ == "__main__":
    uvloop.run(_serve())
