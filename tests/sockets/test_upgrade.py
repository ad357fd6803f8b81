"""Protocols that take a connection over."""

import pytest

from tests.sockets.peers import GET, OK, Peer
from tests.sockets.stage import Stage

WEBSOCKET = (
    b"GET /v1/realtime HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s\r\n\r\n"
)


async def tunnel(stage: Stage) -> tuple[Peer, Peer]:
    client = await stage.client()
    await client.sends(WEBSOCKET)
    server = await stage.accepts()
    head = await server.head()
    assert b"Upgrade: websocket" in head
    assert b"Connection: Upgrade" in head
    await server.sends(SWITCH)
    assert (await client.reply()).status == 101
    return client, server


async def test_bytes_flow_both_ways() -> None:
    async with Stage() as stage:
        client, server = await tunnel(stage)
        await client.sends(b"\x81\x02hi")
        await server.gets(b"\x81\x02hi")
        await server.sends(b"\x00GET / HTTP/1.1\r\n\r\n")
        await client.gets(b"\x00GET / HTTP/1.1\r\n\r\n")
        client.closes()
        await server.ends()
        server.closes()
        await stage.is_empty()


async def test_what_follows_the_handshakes_at_once_is_not_lost() -> None:
    async with Stage() as stage:
        client = await stage.client()
        await client.sends(WEBSOCKET + b"early")
        server = await stage.accepts()
        await server.head()
        await server.sends(SWITCH + b"greeting")
        await client.head()
        await client.gets(b"greeting")
        await server.gets(b"early")


async def test_the_client_ends_its_side_first() -> None:
    async with Stage() as stage:
        client, server = await tunnel(stage)
        await client.sends(b"bye")
        client.half_closes()
        await server.gets(b"bye")
        await server.ends()
        await server.sends(b"goodbye")
        await client.gets(b"goodbye")
        server.closes()
        await client.ends()
        await stage.is_empty()


async def test_the_server_ends_its_side_first() -> None:
    async with Stage() as stage:
        client, server = await tunnel(stage)
        await server.sends(b"bye")
        server.half_closes()
        await client.gets(b"bye")
        await client.ends()
        await client.sends(b"goodbye")
        await server.gets(b"goodbye")
        client.closes()
        await server.ends()
        await stage.is_empty()


async def test_the_client_resets() -> None:
    async with Stage() as stage:
        client, server = await tunnel(stage)
        client.resets()
        await server.is_cut()
        await stage.is_empty()


async def test_the_server_resets() -> None:
    async with Stage() as stage:
        client, server = await tunnel(stage)
        server.resets()
        await client.is_cut()
        await stage.is_at_rest()


async def test_a_silent_tunnel_is_left_alone() -> None:
    async with Stage(timeouts={"idle": "20ms", "first_byte": "1s"}) as stage:
        client, server = await tunnel(stage)
        other, its_server = await stage.call()
        await its_server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        await other.is_cut()  # the idle timer of this one has run out meanwhile
        await client.sends(b"still here")
        await server.gets(b"still here")


async def test_a_flood_into_a_tunnel_waits_for_its_reader() -> None:
    async with Stage() as stage:
        client, server = await tunnel(stage)
        sent = await client.floods()
        await server.drains(sent)


async def test_a_refused_upgrade_is_an_ordinary_reply() -> None:
    async with Stage() as stage:
        client = await stage.client()
        await client.sends(WEBSOCKET)
        server = await stage.accepts()
        await server.head()
        await server.sends(OK.replace(b"200 OK", b"403 Forbidden"))
        reply = await client.reply()
        assert (reply.status, reply.body) == (403, b"ok")


async def test_an_upgrade_that_nobody_asked_for() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(SWITCH)
        reply = await client.reply()
        assert (reply.status, reply.code) == (502, "bad_reply")
        await server.is_cut()


@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_h2c_with_a_body_stays_http_1(method: bytes) -> None:
    smuggled = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"
    async with Stage() as stage:
        client, server = await stage.call(
            b"%b / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            b"HTTP2-Settings: AAMAAABk\r\nContent-Length: %d\r\n\r\n"
            % (method, len(smuggled))
            + smuggled
        )
        await server.gets(smuggled)  # as a body
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"
        await client.sends(GET)
        assert b"GET /v1/models" in await server.head()
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"
        assert stage.endpoint.attempts == {200: 2}
