"""The servers behind: `python -m bench.interception.origin PEM` prints three ports, and serves.

TLS with a provider's replies; the same without TLS, for large replies; an echo.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import cast

import uvloop

from bench.pacer import Pacer
from bench.provider import Heads
from bench.upstream import Server


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def _serve(pem: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    loop = asyncio.get_running_loop()
    heads, pacer = Heads(), Pacer(1.0)

    def canned() -> Server:
        return Server(heads, 1, pacer, pacer)

    servers = [
        await loop.create_server(canned, "127.0.0.1", 0, ssl=context, backlog=4096),
        await loop.create_server(canned, "127.0.0.1", 0, backlog=4096),
        await loop.create_server(Echo, "127.0.0.1", 0, backlog=4096),
    ]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
