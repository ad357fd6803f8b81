"""A file, a sidecar that follows it, and two servers, for tests of reloads."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from sidecar.control.reload import Reloader
from sidecar.control.serving import Serving
from sidecar.control.sources.file import FileSource
from sidecar.observe.stats import Stats
from tests.sockets.peers import GET, Peer

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


class Echo(asyncio.Protocol):
    """Answers each request with two bytes of its own; keeps the heads that it got."""

    def __init__(self, word: bytes, heads: list[bytes]) -> None:
        self._word, self._heads, self._read = word, heads, b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *heads, self._read = (self._read + data).split(b"\r\n\r\n")
        self._heads += heads
        for _ in heads:
            self._transport.write(REPLY + self._word)


class Scene:
    """A file, a sidecar that follows it, and two servers, `aa` and `bb`."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "sidecar.yaml"
        self.secret = folder / "key"
        self.secret.write_text("one")
        self.heads: list[bytes] = []
        self.stats = Stats(0.0)
        self.serving = Serving(self.stats)
        self.reloader = Reloader([FileSource(self.file)], self.serving)
        self.urls: dict[str, str] = {}
        self.servers: list[asyncio.Server] = []
        self.config: dict[str, Any] = {}

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        for word in ("aa", "bb"):
            server = await loop.create_server(
                lambda word=word: Echo(word.encode(), self.heads),  # type: ignore[misc]
                "127.0.0.1",
                0,
            )
            self.servers.append(server)
            self.urls[word] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self.config = {
            "listeners": [{"address": "127.0.0.1:0"}],
            "upstreams": {"aa": self.upstream("aa")},
            "routes": [{"upstream": "aa"}],
            "access_log": {"path": None},
            "admin": {"address": None},
        }
        self.write()
        await self.reloader.start()

    def upstream(self, word: str) -> dict[str, Any]:
        credentials = {"header": "x-key", "value": "${file:" + str(self.secret) + "}"}
        return {"endpoints": [{"url": self.urls[word]}], "credentials": credentials}

    def write(self, text: str | None = None) -> None:
        self.file.write_text(json.dumps(self.config) if text is None else text)

    def goes_to(self, word: str) -> None:
        """Another upstream, route and listener from the next reload on."""
        self.config["upstreams"] = {word: self.upstream(word)}
        self.config["routes"] = [{"upstream": word}]
        more = [{"address": "127.0.0.2:0"}] if word == "bb" else []
        self.config["listeners"] = [{"address": "127.0.0.1:0"}, *more]

    async def client(self) -> Peer:
        sock = socket.socket()
        sock.setblocking(False)
        port = self.serving.listeners["127.0.0.1:0"].port
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        return Peer(sock)


@asynccontextmanager
async def scene(folder: Path, *, watched: bool = False) -> AsyncIterator[Scene]:
    scene = Scene(folder)
    await scene.start()
    watching = asyncio.create_task(scene.reloader.watch()) if watched else None
    try:
        yield scene
    finally:
        if watching is not None:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        await scene.serving.drain(0)
        for server in scene.servers:
            server.close()
            await server.wait_closed()  # until the sidecar's connections to it are closed


async def says(client: Peer) -> str:
    await client.sends(GET)
    reply = await client.reply()
    assert reply.status == 200
    return reply.body.decode()
