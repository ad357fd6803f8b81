"""Endpoints for what looks after them, and a look at what that leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Self

import trustme

from sidecar.config.model import Pool
from sidecar.observe.stats import EndpointStats
from sidecar.upstream.connect.name import Name
from sidecar.upstream.connect.resolver import Lookups
from sidecar.upstream.endpoints.endpoint import Endpoint, Origin
from tests.sockets.peers import OK, Server, until

CA = trustme.CA()
NOT_FOUND: Final = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def endpoint(url: str) -> Endpoint:
    """One that trusts CA."""
    context = None
    if url.startswith("https"):
        context = ssl.create_default_context()
        CA.configure_trust(context)
    place = Origin.of(url)
    name = Name(place.host, place.port, 30.0, Lookups(2).find)
    return Endpoint("u", url, place, Pool(), EndpointStats(), name, context)


async def answers(server: Server, reply: bytes = OK) -> bytes:
    """Answer the next connection's request: its head."""
    peer = await server.accepts()
    head = await peer.head()
    await peer.sends(reply)
    return head


class Scripted:
    """A server that answers each target as it is told at that time; others get 404."""

    def __init__(self, **replies: bytes | None) -> None:
        self.replies = {f"/{name}": reply for name, reply in replies.items()}
        """Nothing (b"") closes the connection; None keeps its client waiting."""
        self.asked: list[str] = []
        self.heads: list[bytes] = []
        self.open = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Its clients must have left by themselves."""
        await until(lambda: self.open == 0, "the end of all connections")
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                target = head.split(b" ")[1].decode()
                self.heads.append(head)
                self.asked.append(target)
                reply = self.replies.get(target, NOT_FOUND)
                if reply == b"":
                    break
                writer.write(reply or b"")
        self.open -= 1
        writer.close()


async def nothing_runs() -> None:
    """No task but the test's."""
    await until(lambda: len(asyncio.all_tasks()) == 1, "the end of all tasks")


@asynccontextmanager
async def refusing() -> AsyncIterator[str]:
    """URL of a port where nobody listens."""
    server = Server()
    server.closes()
    yield server.url


@asynccontextmanager
async def secure(*names: str, reply: bytes | None = OK) -> AsyncIterator[str]:
    """URL of a server with a certificate for *names*, which answers with *reply*, or not at all."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert(*names).configure_cert(context)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (await reader.read(65536)) and reply is not None:
            writer.write(reply)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}"
