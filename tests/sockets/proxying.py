"""A stage whose sidecar is a forward proxy, and clients that use it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from sidecar.ca.authority import open_authority
from tests.sockets.peers import Peer, Server
from tests.sockets.stage import Section, Stage

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


def proxy(
    ca: Path | None = None,
    server: Server | None = None,
    *,
    routed: str = "llm.test",
    intercept: Section | None = None,
    listener: Section | None = None,
    **more: Any,
) -> Stage:
    """A forward proxy that intercepts *routed*, and may pass on to this machine."""
    settings: dict[str, object] = {"allow": ["127.0.0.0/8", "::1"], "sniff": "200ms"}
    if ca is not None:
        settings["ca"] = str(ca)
    return Stage(
        listeners=[{"address": "127.0.0.1:0", "mode": "forward", **(listener or {})}],
        routes=[{"name": "r", "match": {"host": routed}, "upstream": "u"}],
        servers=[server] if server else (),
        intercept=settings | dict(intercept or {}),
        **more,
    )


async def asks(stage: Stage, line: str, **options: Any) -> Peer:
    """A client that has sent a request line, and nothing that matters behind it."""
    client = await stage.client(**options)
    await client.sends(f"{line}\r\nHost: x\r\n\r\n".encode())
    return client


async def tunnel(stage: Stage, host: str = "localhost", **options: Any) -> tuple[Peer, Peer]:
    """Both ends of a connection that is passed on to the stage's server."""
    client = await asks(stage, f"CONNECT {host}:{stage.server.port} HTTP/1.1", **options)
    server = await stage.accepts()
    await client.gets(ESTABLISHED)
    return client, server


def trusting(ca: Path, **options: Any) -> ssl.SSLContext:
    """A client that trusts the CA in folder *ca*."""
    context = ssl.create_default_context(cadata=open_authority(ca).pem.decode())
    for name, value in options.items():
        setattr(context, name, value)
    return context


@contextlib.asynccontextmanager
async def inside_tls(
    client: Peer, context: ssl.SSLContext, name: str = "llm.test"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Speak TLS on *client*'s socket."""
    sock = client.sock.dup()
    sock.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=sock, ssl=context, server_hostname=name)
    try:
        yield reader, writer
    finally:
        writer.close()
        client.closes()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def dislikes(client: Peer, context: ssl.SSLContext, name: str = "llm.test") -> None:
    """Speak TLS on *client*'s socket until its certificate is bad, and say so by an alert."""
    received, made = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(received, made, server_hostname=name)
    with contextlib.suppress(ssl.SSLCertVerificationError):
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await client.sends(made.read())
                received.write(await client.receives())
            else:
                raise AssertionError("the certificate is good")
    await client.sends(made.read())
    client.closes()


def decisions(stage: Stage) -> Mapping[str, int]:
    """What became of the connections so far."""
    return dict(stage.listener().stats.decisions)
