"""Connections that are passed through: every byte, every end, and nothing piles up."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import socket

import pytest

from tests.sockets.peers import Server, until
from tests.sockets.proxying import ESTABLISHED, asks, decisions, proxy, tunnel
from tests.sockets.stage import Stage


async def test_bytes_go_both_ways() -> None:
    async with proxy() as stage:
        client, server = await tunnel(stage)
        await client.sends(b"\x00hello")
        await server.gets(b"\x00hello")
        await server.sends(b"world\xff")
        await client.gets(b"world\xff")
        stats = stage.listener().stats
        assert (stats.passing, stats.open, decisions(stage)) == (1, 1, {"not_routed": 1})
        assert stats.passed_hosts.shown() == {("localhost", "not_routed"): 1}
        client.closes()
        await server.ends()
        server.closes()
        await stage.is_empty()
        assert (stats.passing, stats.passed_out) == (0, 6)
        assert stats.passed_in == 6 + len(ESTABLISHED)


async def test_bytes_behind_the_request_are_the_servers() -> None:
    async with proxy() as stage:
        client = await stage.client()
        head = f"CONNECT localhost:{stage.server.port} HTTP/1.1\r\nHost: x\r\n\r\n"
        await client.sends(head.encode() + b"early")
        server = await stage.accepts()
        await server.gets(b"early")


async def test_the_client_half_closes() -> None:
    async with proxy() as stage:
        client, server = await tunnel(stage)
        await client.sends(b"question")
        client.half_closes()
        await server.gets(b"question")
        await server.ends()
        await server.sends(b"answer")
        await client.gets(b"answer")
        server.closes()
        await client.ends()
        await stage.is_empty()


async def test_the_server_half_closes() -> None:
    async with proxy() as stage:
        client, server = await tunnel(stage)
        server.half_closes()
        await client.ends()
        await client.sends(b"still here")
        await server.gets(b"still here")
        client.closes()
        await server.ends()
        await stage.is_empty()


@pytest.mark.parametrize("who", ["client", "server"])
async def test_a_reset_is_passed_on(who: str) -> None:
    async with proxy() as stage:
        ends = dict(zip(("client", "server"), await tunnel(stage), strict=True))
        one = ends.pop(who)
        [other] = ends.values()
        one.resets()
        await other.is_reset()
        await stage.is_empty()


@pytest.mark.parametrize("who", ["client", "server"])
async def test_a_reset_is_noticed_while_the_other_takes_nothing(who: str) -> None:
    async with proxy() as stage:
        client, server = await tunnel(stage, window=4096)
        ends = {"client": (client, server), "server": (server, client)}
        one, other = ends[who]
        await one.floods()
        one.resets()
        await other.is_reset()
        await stage.is_empty()


@pytest.mark.parametrize("who", ["client", "server"])
async def test_who_takes_nothing_is_sent_no_more(who: str) -> None:
    async with proxy() as stage:
        client, server = await tunnel(stage, window=4096)
        one, other = (client, server) if who == "client" else (server, client)
        taken = await one.floods()
        reading = stage.begins(other.drains(taken))
        await reading
        await one.sends(b"and on")
        await other.gets(b"and on")


async def test_the_other_way_stays_open_meanwhile() -> None:
    async with proxy() as stage:
        client, server = await tunnel(stage)
        taken = await client.floods()
        await server.sends(b"I am busy")
        await client.gets(b"I am busy")
        await server.drains(taken)


async def test_much_both_ways_at_once_arrives_whole() -> None:
    size, seen = 12_000_000, {}

    async with proxy() as stage:
        client, server = await tunnel(stage)
        data = random.Random(1).randbytes(size)

        async def reads(name: str, peer: object) -> None:
            digest, left = hashlib.sha256(), size
            while left:
                part = await peer.receives(min(left, 300_000))  # type: ignore[attr-defined]
                assert part
                digest.update(part)
                left -= len(part)
            seen[name] = digest.digest()

        await asyncio.gather(
            client.sends(data), server.sends(data), reads("c", client), reads("s", server)
        )
    assert seen == dict.fromkeys("cs", hashlib.sha256(data).digest())


async def test_what_was_sent_before_the_end_arrives_before_it() -> None:
    async with proxy() as stage:
        client, server = await tunnel(stage, window=4096)
        sent = await server.floods(most=2**26)
        server.half_closes()
        await client.drains(sent, step=100_000)
        await client.ends()


async def test_what_the_server_said_before_it_broke_off_arrives() -> None:
    """Though the next thing that happens is that it does not take what the client sends."""
    async with proxy() as stage:
        client, server = await tunnel(stage)
        await client.sends(b"a long upload")
        await server.gets(b"a long")  # and no more: to close with something unread is to reset
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sock.send(b", which goes on")
        server.sock.send(b"refused")
        server.closes()
        (passed,) = stage.listener().tunnels
        passed._ways[0].readable()
        assert await client.is_reset() == b"refused"
        await stage.is_empty()


async def test_nobody_listens() -> None:
    dead = Server()
    dead.closes()
    async with proxy() as stage:
        client = await asks(stage, f"CONNECT localhost:{dead.port} HTTP/1.1")
        reply = await client.reply()
        assert (reply.status, reply.code) == (502, "connect_failed")
        await client.ends()
        assert stage.listener().stats.refused == {502: 1}
        client.closes()
        await stage.is_empty()


async def test_an_unknown_name() -> None:
    async with proxy() as stage:
        client = await asks(stage, "CONNECT no-such-host.invalid:443 HTTP/1.1")
        reply = await client.reply()
        assert (reply.status, reply.code) == (502, "resolve_failed")


async def test_it_ends_with_the_sidecar() -> None:
    async with proxy() as stage:
        client, server = await tunnel(stage)
        assert stage.serving.in_flight() == 1
        assert not await stage.serving.drain(0.05)
        await client.is_reset()
        await server.is_reset()


async def test_it_outlives_its_listener() -> None:
    async with proxy() as stage:
        client, server = await tunnel(stage)
        stage.config["listeners"] = [{"address": "[::1]:0"}]
        await stage.apply()
        await client.sends(b"x")
        await server.gets(b"x")
        assert stage.serving.in_flight() == 1
        client.closes()
        await server.ends()


async def test_a_mode_does_not_change_under_way() -> None:
    async with proxy() as stage:
        address = stage.config["listeners"][0]["address"]
        stage.config["listeners"] = [{"address": address}]
        with pytest.raises(OSError, match="can't change while it is open"):
            await stage.apply()
        await tunnel(stage)


async def test_too_many_connections_are_reset() -> None:
    async with proxy(listener={"max_connections": 2}) as stage:
        first = await tunnel(stage)
        await tunnel(stage)
        with contextlib.suppress(ConnectionResetError):  # it may even come while it connects
            await (await stage.client()).is_reset()
        assert stage.listener().stats.refused == {503: 1}
        for peer in first:
            peer.closes()
        await until(lambda: stage.listener().stats.passing == 1)
        await tunnel(stage)


async def test_a_flood_of_connections_is_borne() -> None:
    async with proxy(listener={"max_connections": 50}) as stage:
        await asyncio.gather(*(stage.client() for _ in range(200)), return_exceptions=True)
        await until(lambda: stage.listener().stats.accepted == 200)
        assert stage.listener().stats.refused == {503: 150}
        for peer in stage.clients:
            peer.closes()
        await until(lambda: stage.listener().stats.open == 0)
        await tunnel(stage)


async def test_a_client_that_says_nothing_is_let_go() -> None:
    async with proxy(listener={"head_timeout": "100ms"}) as stage:
        client = await stage.client()
        await until(lambda: len(stage.listener().connections) == 1)  # it rests, as any other
        client.closes()


async def seen_by_server(stage: Stage, request: bytes) -> bytes:
    client = await stage.client()
    await client.sends(request.replace(b"PORT", str(stage.server.port).encode()))
    server = await stage.accepts()
    head = await server.head()
    await server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    server.half_closes()
    assert (await client.reply()).body == b"ok"
    await client.ends()
    client.half_closes()
    return head


async def test_a_request_for_another_host_is_passed_on() -> None:
    async with proxy() as stage:
        head = await seen_by_server(
            stage,
            b"GET http://localhost:PORT/a?b HTTP/1.1\r\nHost: wrong\r\nX: 1\r\n"
            b"Proxy-Authorization: Basic x\r\nProxy-Connection: keep-alive\r\n\r\n",
        )
        port = stage.server.port
        assert head == (
            b"GET /a?b HTTP/1.1\r\nHost: localhost:%d\r\nX: 1\r\nConnection: close\r\n\r\n" % port
        )
        assert decisions(stage) == {"not_routed": 1}


async def test_its_body_streams() -> None:
    async with proxy() as stage:
        client = await stage.client()
        head = "POST http://localhost:{}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        await client.sends(head.format(stage.server.port).encode())
        server = await stage.accepts()
        assert b"Transfer-Encoding: chunked" in await server.head()
        await client.sends(b"1\r\nx\r\n")
        await server.gets(b"1\r\nx\r\n")
        await client.sends(b"0\r\n\r\n")
        await server.gets(b"0\r\n\r\n")


async def test_a_malformed_request_is_refused() -> None:
    async with proxy() as stage:
        client = await stage.client()
        await client.sends(b"GET http://localhost:1/ HTTP/1.1\r\nHost: x\r\nBad Name: 1\r\n\r\n")
        reply = await client.reply()
        assert (reply.status, reply.code) == (400, "bad_request")
