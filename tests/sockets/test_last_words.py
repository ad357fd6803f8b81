"""A server that refuses an upload early and closes: the caller gets its answer.

The caller sends on in the same step of the loop in which the server answers and closes. So the
sidecar writes, in vain, before it can see that there is something to read.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from sidecar.proxy.exchange.upload import Upload
from tests.sockets.peers import CHUNKED, OK, Peer, Server, chunk, post, until
from tests.sockets.stage import Stage

REFUSED = (
    b"HTTP/1.1 401 No\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % 2**14 + b"n" * 2**14
)
HELD = {"hold": "1KiB"}


BEGUN = CHUNKED + chunk(bytes(2000))


def sends_on(client: Peer) -> None:
    """One read for the sidecar, which is what it finds first then, but several writes."""
    client.sock.send(chunk(bytes(1000)) * 20)


async def refused(stage: Stage, client: Peer) -> None:
    reply = await client.reply()
    assert (reply.status, reply["connection"]) == (401, "close")
    assert reply.body == b"n" * 2**14
    await client.is_cut()
    assert stage.endpoint.errors == {}
    assert stage.endpoint.attempts == {401: 1}


@pytest.mark.parametrize("how", [Peer.closes, Peer.resets])
async def test_its_answer_arrives(how: Callable[[Peer], None]) -> None:
    async with Stage(policy=HELD) as stage:
        client, server = await stage.call(BEGUN)
        sends_on(client)
        server.sock.send(REFUSED)
        how(server)
        await refused(stage, client)


class Secure:
    """The server's end of TLS on *peer*, which does each thing when it is told."""

    def __init__(self, peer: Peer, context: ssl.SSLContext) -> None:
        self.peer = peer
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)

    async def does(self, act: Callable[[], Any]) -> Any:
        """Do *act*, with what comes for it."""
        while True:
            try:
                return act()
            except ssl.SSLWantReadError:
                await self.peer.sends(self._out.read())
                self._in.write(await self.peer.receives())

    async def head(self) -> None:
        await self.does(self._tls.do_handshake)
        await self.peer.sends(self._out.read())
        data = b""
        while b"\r\n\r\n" not in data:
            data += await self.does(self._tls.read)

    def says(self, data: bytes) -> None:
        self._tls.write(data)
        self.peer.sock.send(self._out.read())


async def test_its_answer_arrives_over_tls(tmp_path: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    server = Server()
    upstream = {
        "endpoints": [{"url": f"https://localhost:{server.port}"}],
        "tls": {"ca": str(tmp_path / "ca.pem")},
    }
    async with Stage(policy=HELD, upstream=upstream, servers=[server]) as stage:
        client = await stage.client()
        await client.sends(BEGUN)
        secure = Secure(await stage.accepts(), context)
        await secure.head()
        for _ in range(5):  # so that the loop forgets what it has found on this connection
            await asyncio.sleep(0)
        sends_on(client)
        secure.says(REFUSED)
        secure.peer.closes()
        await refused(stage, client)


@pytest.mark.parametrize("size", [100_000, 2**20, 7 * 2**20])
@pytest.mark.parametrize("goes_on", [b"close", b"keep-alive"])
async def test_the_answer_to_a_held_body(
    size: int, goes_on: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Stage() as stage:
        client, server = await stage.call(post(0))
        await server.sends(OK)
        assert (await client.reply()).status == 200

        def after_its_answer(upload: Upload) -> bool:
            server.sock.send(REFUSED.replace(b"close", goes_on))
            server.resets()
            monkeypatch.undo()
            return upload.go()

        monkeypatch.setattr(Upload, "go", after_its_answer)
        await client.sends(post(size) + bytes(size))
        reply = await client.reply()
        assert (reply.status, reply.body) == (401, b"n" * 2**14)
        assert stage.endpoint.errors == {}
        assert stage.endpoint.attempts == {200: 1, 401: 1}


async def test_a_held_body_that_is_not_taken_at_once_is_watched_too() -> None:
    async with Stage(servers=[Server(window=4096)]) as stage:
        size = 7 * 2**20
        client, server = await stage.call(post(size) + bytes(size))
        before = len(os.listdir("/proc/self/fd"))
        await server.drains(size)
        await server.sends(OK)
        assert (await client.reply()).status == 200
        assert len(os.listdir("/proc/self/fd")) == before - 1


async def test_a_held_body_that_is_taken_at_once_keeps_no_descriptor() -> None:
    async with Stage() as stage:
        before = len(os.listdir("/proc/self/fd"))
        client, server = await stage.call(post(100_000) + bytes(100_000))
        ends = 4  # the client's and the server's, and the sidecar's two
        await until(lambda: len(os.listdir("/proc/self/fd")) == before + ends)
        await server.drains(100_000)
        await server.sends(OK)
        assert (await client.reply()).status == 200


async def test_half_an_answer_is_none() -> None:
    async with Stage(policy=HELD) as stage:
        client, server = await stage.call(BEGUN)
        sends_on(client)
        server.sock.send(REFUSED[:40])
        server.resets()
        assert (await client.reply()).code == "upstream_truncated"


async def test_an_answer_that_ends_with_its_connection() -> None:
    async with Stage(policy=HELD) as stage:
        client, server = await stage.call(BEGUN)
        await server.drains(len(BEGUN) - BEGUN.index(b"7d0"))
        sends_on(client)
        server.sock.send(b"HTTP/1.1 401 No\r\n\r\nno")
        server.closes()
        assert (await client.reply()).body == b"no"


async def test_an_upload_that_ends_in_order_keeps_no_descriptor() -> None:
    async with Stage(policy=HELD) as stage:
        client, server = await stage.call(BEGUN)
        before = len(os.listdir("/proc/self/fd"))
        await client.sends(chunk(b"x") + b"0\r\n\r\n")
        await server.until(b"0\r\n\r\n")
        await server.sends(OK)
        assert (await client.reply()).status == 200
        assert len(os.listdir("/proc/self/fd")) == before - 1
