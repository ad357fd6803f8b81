"""A relay on uvloop that looks at nothing: `python bench/relay.py PORT UPSTREAM_PORT`.

Each connection has one of its own to the upstream; what comes on one is written to the other. No
Python program on uvloop passes a chunk on for less.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop


class Side(asyncio.Protocol):
    """One of the two connections of a pair."""

    other: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        assert self.other is not None
        self.other.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None:
            self.other.close()


class Accepted(Side):
    """The caller's side, with what came of it before there was somewhere to write."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.task = asyncio.ensure_future(self._connect())

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self.early.append(data)
        else:
            self.other.write(data)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        transport, side = await loop.create_connection(Side, "127.0.0.1", self.upstream)
        self.other, side.other = transport, self.transport
        transport.writelines(self.early)
        if self.transport.is_closing():
            transport.close()


async def _serve(port: int, upstream: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Accepted(upstream), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
