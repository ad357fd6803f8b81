"""Connections to both sides are kept alive, and peers that are gone without a word are noticed."""

from __future__ import annotations

import asyncio
import socket

import pytest

from sidecar.listen import listener
from sidecar.listen.intercept import tunnel
from sidecar.proxy.exchange.exchange import Exchange
from sidecar.upstream.connect.keepalive import GONE_AFTER, Tunable
from tests.sockets.peers import EVENTS, GET, OK, Peer, chunk, post
from tests.sockets.stage import Stage

WEBSOCKET = (
    b"GET /v1/realtime HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def downstream(stage: Stage) -> Tunable:
    (connection,) = stage.listener().connections
    sock: Tunable = connection.transport.get_extra_info("socket")
    return sock


def upstream(stage: Stage) -> Tunable:
    (connection,) = stage.listener().connections
    assert connection.call is not None
    reply = connection.call.reply
    assert isinstance(reply, Exchange)
    sock: Tunable = reply.connection.transport.get_extra_info("socket")
    return sock


def alive(sock: Tunable) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))  # type: ignore[call-arg]


def unanswered(sock: Tunable) -> int:
    """Seconds that the kernel waits for an acknowledgement; 0: as long as it likes."""
    value: int = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)  # type: ignore
    return value // 1000


async def begun(stage: Stage, request: bytes = GET) -> tuple[Peer, Peer]:
    """A call whose reply has begun."""
    client, server = await stage.call(request)
    await server.sends(EVENTS + chunk(b"a"))
    await client.until(b"a")
    return client, server


async def test_both_sides_are_kept_alive() -> None:
    async with Stage() as stage:
        client, server = await begun(stage)
        assert alive(downstream(stage))
        assert alive(upstream(stage))
        assert (unanswered(downstream(stage)), unanswered(upstream(stage))) == (0, GONE_AFTER)
        await server.sends(b"0\r\n\r\n")
        await client.until(b"0\r\n\r\n")


async def test_a_server_may_read_a_large_request_late() -> None:
    """The kernel's timeout would end a connection whose window is shut, though the server lives."""
    async with Stage() as stage:
        client = await stage.client()
        await client.sends(post(40_000) + bytes(40_000))
        server = await stage.accepts()
        await server.head()
        await server.gets(bytes(40_000))
        await server.sends(EVENTS + chunk(b"a"))
        await client.until(b"a")
        assert unanswered(upstream(stage)) == 0
        await server.sends(b"0\r\n\r\n")
        await client.until(b"0\r\n\r\n")


async def test_a_body_that_streams_may_be_read_late() -> None:
    async with Stage(policy={"hold": "1KiB"}) as stage:
        client, server = await begun(stage, post(3000) + bytes(2000))
        assert unanswered(upstream(stage)) == 0
        await client.sends(bytes(1000))
        await server.gets(bytes(3000))
        await server.sends(b"0\r\n\r\n")
        await client.until(b"0\r\n\r\n")


def sweep(stage: Stage) -> None:
    """The look for who is gone, as it comes once a minute."""
    stage.listener()._check_silent()


async def test_a_caller_that_is_gone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Stage() as stage:
        _client, server = await begun(stage)
        sweep(stage)
        gone = downstream(stage).fileno()  # type: ignore[attr-defined]
        monkeypatch.setattr(listener, "is_gone", lambda sock: sock.fileno() == gone)
        sweep(stage)
        await server.is_cut()
        await stage.is_empty()
        assert stage.route.errors == {"caller_left": 1}


async def test_a_caller_at_rest_is_left_to_keep_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Stage() as stage:
        client = await stage.client()
        server = await stage.answered(client)
        monkeypatch.setattr(listener, "is_gone", lambda _: True)
        sweep(stage)
        await stage.answered_again(client, server)


@pytest.mark.parametrize("side", [downstream, upstream])
async def test_a_websocket_whose_peer_is_gone_ends(
    monkeypatch: pytest.MonkeyPatch, side: object
) -> None:
    async with Stage() as stage:
        client, server = await stage.call(WEBSOCKET)
        await server.sends(SWITCHED)
        await client.head()
        assert unanswered(upstream(stage)) == 0
        sweep(stage)
        gone = side(stage).fileno()  # type: ignore[operator]
        monkeypatch.setattr(listener, "is_gone", lambda sock: sock.fileno() == gone)
        sweep(stage)
        await server.is_cut()
        await client.is_cut()
        await stage.is_empty()


async def test_a_tunnel_whose_peer_is_gone_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    listeners = [{"mode": "forward", "address": "127.0.0.1:0"}]
    async with Stage(listeners=listeners, intercept={"allow": ["127.0.0.0/8"]}) as stage:
        client = await stage.client()
        await client.sends(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % stage.server.port)
        assert b" 200 " in await client.head()
        await client.sends(b"hello")
        server = await stage.accepts()
        await server.gets(b"hello")
        sweep(stage)
        await asyncio.sleep(0)
        (it,) = stage.listener().tunnels
        assert all(alive(way.source) for way in it._ways)
        monkeypatch.setattr(tunnel, "is_gone", lambda _: True)
        sweep(stage)
        await server.is_reset()
        await client.is_reset()


async def test_the_look_comes_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Stage() as stage:
        it, looks = stage.listener(), 0

        def look() -> None:
            nonlocal looks
            looks += 1

        monkeypatch.setattr(it, "_check_silent", look)
        for _ in range(180):
            assert it._sweeper is not None
            it._sweeper.cancel()
            it._sweep()
        assert looks == 3
        client = await stage.client()
        await client.sends(GET)
        server = await stage.accepts()
        await server.head()
        await server.sends(OK)
        await client.reply()
