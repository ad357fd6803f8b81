"""Connections that are taken over: TLS and HTTP for hosts that routes name, and what stays out."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from sidecar.ca.authority import open_authority
from tests.sockets.peers import CHUNKED_OK, GET, OK, Peer, chunk, until
from tests.sockets.proxying import (
    ESTABLISHED,
    asks,
    decisions,
    dislikes,
    inside_tls,
    proxy,
    trusting,
    tunnel,
)
from tests.sockets.stage import Stage

REQUEST = b"GET /v1/models HTTP/1.1\r\nHost: llm.test\r\n\r\n"


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    return tmp_path / "ca"


async def connects(stage: Stage, host: str = "llm.test", port: int = 443) -> Peer:
    """A client that was told that it is connected to *host*."""
    client = await asks(stage, f"CONNECT {host}:{port} HTTP/1.1")
    await client.gets(ESTABLISHED)
    return client


async def call(stage: Stage, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Peer:
    """Carry a call; the server's end."""
    writer.write(REQUEST)
    server = await stage.accepts()
    head = await server.head()
    assert head.startswith(b"GET /v1/models HTTP/1.1\r\n")
    assert b"\r\ntraceparent: " in head
    await server.sends(OK)
    reply = await reader.readuntil(b"ok")
    assert b"\r\nx-request-id: " in reply
    return server


async def test_tls_to_a_routed_host_is_terminated(ca: Path) -> None:
    async with proxy(ca) as stage:
        client = await connects(stage)
        async with inside_tls(client, trusting(ca)) as (reader, writer):
            await call(stage, reader, writer)
        assert decisions(stage) == {"intercepted_tls": 1}
        assert stage.route.statuses == {200: 1}


async def test_a_connection_carries_many_calls(ca: Path) -> None:
    async with proxy(ca) as stage:
        client = await connects(stage)
        async with inside_tls(client, trusting(ca)) as (reader, writer):
            server = await call(stage, reader, writer)
            for _ in range(3):
                writer.write(REQUEST)
                await server.head()
                await server.sends(OK)
                await reader.readuntil(b"ok")
        assert stage.route.statuses == {200: 4}


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /v1/models HTTP/1.1\r\nHost: other.test\r\n\r\n",
        b"GET https://other.test/v1/models HTTP/1.1\r\nHost: llm.test\r\n\r\n",
        b"POST /v1 HTTP/1.1\r\nHost: other.test\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: llm.test.evil\r\n\r\n",
    ],
)
async def test_what_is_for_another_host_than_the_certificate_is_misdirected(
    ca: Path, request_: bytes
) -> None:
    async with proxy(ca, routed="*.test") as stage:
        stage.config["routes"].append({"name": "all", "upstream": "u"})
        await stage.apply()
        client = await connects(stage)
        async with inside_tls(client, trusting(ca)) as (reader, writer):
            await call(stage, reader, writer)
            writer.write(request_)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 421 Misdirected Request\r\n")
            assert b"\r\nx-sidecar-error: misdirected\r\n" in head


@pytest.mark.parametrize("host", [b"LLM.test", b"llm.test:443", b"llm.test.", b"llm.test:8443"])
async def test_the_same_host_in_other_words_is_served(ca: Path, host: bytes) -> None:
    async with proxy(ca) as stage:
        client = await connects(stage)
        async with inside_tls(client, trusting(ca)) as (reader, writer):
            writer.write(b"GET /v1/models HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
            server = await stage.accepts()
            await server.head()
            await server.sends(OK)
            assert b"200 OK" in await reader.readuntil(b"ok")


async def test_http_1_1_is_agreed_on(ca: Path) -> None:
    context = trusting(ca)
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with proxy(ca) as stage:
        client = await connects(stage)
        async with inside_tls(client, context) as (_, writer):
            assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"


async def test_plain_http_to_a_routed_host_is_carried(ca: Path) -> None:
    async with proxy(ca) as stage:
        client = await connects(stage, port=80)
        await client.sends(REQUEST)
        server = await stage.accepts()
        await server.head()
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"
        assert decisions(stage) == {"intercepted_http": 1}


async def test_a_url_of_a_routed_host_is_carried_once(ca: Path) -> None:
    async with proxy(ca) as stage:
        client = await stage.client()
        await client.sends(
            b"GET http://llm.test/v1/models HTTP/1.1\r\nHost: llm.test\r\n"
            b"Proxy-Authorization: Basic c2VjcmV0\r\n\r\n"
        )
        server = await stage.accepts()
        head = await server.head()
        assert head.startswith(b"GET /v1/models HTTP/1.1\r\n")
        assert b"c2VjcmV0" not in head
        await server.sends(OK)
        reply = await client.reply()
        assert (reply.body, reply["connection"]) == (b"ok", "close")
        await client.ends()


async def test_it_serves_as_a_base_url_too() -> None:
    async with proxy(routed="a") as stage:
        client = await stage.client()
        server = await stage.answered(client, GET)
        await stage.answered_again(client, server)


async def test_a_stream_arrives_piece_by_piece(ca: Path) -> None:
    async with proxy(ca) as stage:
        client = await connects(stage)
        async with inside_tls(client, trusting(ca)) as (reader, writer):
            writer.write(REQUEST)
            server = await stage.accepts()
            await server.head()
            await server.sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            for text in (b"one", b"two"):
                await server.sends(chunk(text))
                assert await reader.readexactly(len(chunk(text))) == chunk(text)


async def test_an_answer_that_breaks_does_not_look_whole(ca: Path) -> None:
    """It would end with its connection (HTTP/1.0): so that must not end in order."""
    async with proxy(ca) as stage:
        client = await connects(stage)
        async with inside_tls(client, trusting(ca)) as (reader, writer):
            writer.write(REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"))
            server = await stage.accepts()
            await server.head()
            await server.sends(CHUNKED_OK + chunk(b"half"))
            assert (await reader.readuntil(b"half")).endswith(b"half")
            server.resets()
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await reader.read()
        await stage.is_at_rest()


@pytest.mark.parametrize("leave", ["close", "abort"])
async def test_who_leaves_frees_the_server(ca: Path, leave: str) -> None:
    async with proxy(ca) as stage:
        client = await connects(stage)
        async with inside_tls(client, trusting(ca)) as (_, writer):
            writer.write(REQUEST)
            server = await stage.accepts()
            await server.head()
            writer.transport.abort() if leave == "abort" else writer.close()
            client.closes()
            await server.is_cut()
        assert stage.route.errors == {"caller_left": 1}


async def test_a_slow_reader_holds_the_server_back(ca: Path) -> None:
    async with proxy(ca) as stage:
        client = await connects(stage)
        async with inside_tls(client, trusting(ca)) as (reader, writer):
            transport = cast("asyncio.Transport", writer.transport)
            transport.pause_reading()
            writer.write(REQUEST)
            server = await stage.accepts()
            await server.head()
            await server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            taken = await server.floods()
            transport.resume_reading()
            await reader.readuntil(b"\r\n\r\n")
            while taken > 0:
                taken -= len(await reader.read(2**20))


async def test_a_large_answer_before_the_close_arrives_whole(ca: Path) -> None:
    async with proxy(ca) as stage:
        client = await connects(stage)
        async with inside_tls(client, trusting(ca)) as (reader, writer):
            writer.write(REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            server = await stage.accepts()
            await server.head()
            size = 3_000_000
            sending = stage.begins(
                server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"Connection: close" in head
            await asyncio.sleep(0.1)  # the sidecar has long asked to close
            assert len(await reader.read()) == size
            await sending


async def test_a_websocket_inside_tls(ca: Path) -> None:
    async with proxy(ca) as stage:
        client = await connects(stage)
        async with inside_tls(client, trusting(ca)) as (reader, writer):
            writer.write(
                b"GET /v1/realtime HTTP/1.1\r\nHost: llm.test\r\nConnection: Upgrade\r\n"
                b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            server = await stage.accepts()
            await server.head()
            await server.sends(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                b"Upgrade: websocket\r\n\r\nhello"
            )
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 101 ")
            writer.write(b"ping")
            await server.gets(b"ping")
            server.half_closes()  # TLS can't pass half an end on: it is one
            assert await reader.read() == b""
            await server.is_cut()
        await stage.is_empty()


async def test_what_programs_need_is_published(ca: Path, tmp_path: Path) -> None:
    folder = tmp_path / "trust"
    async with proxy(ca, intercept={"publish": str(folder)}) as stage:
        assert sorted(os.listdir(folder)) == ["bundle.pem", "ca.crt", "truststore.p12"]
        stage.config["intercept"]["publish"] = str(ca / "ca.pem" / "x")
        with pytest.raises(OSError, match=r"ca\.pem"):
            await stage.apply()


async def test_errors_of_ours_arrive(ca: Path) -> None:
    async with proxy(ca) as stage:
        stage.server.closes()
        client = await connects(stage)
        async with inside_tls(client, trusting(ca)) as (reader, writer):
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 502 " in head
            assert b"x-sidecar-error: connect_failed" in head
            body = json.loads(await reader.readexactly(int(head.split(b"Length: ")[1].split()[0])))
            assert body["error"]["code"] == "connect_failed"


# -- what stays out --


async def passed(stage: Stage, client: Peer, data: bytes) -> Peer:
    """What *client* sends arrives as it is, at the server that it asked for."""
    await client.sends(data)
    server = await stage.accepts()
    await server.gets(data)
    await server.sends(b"fine")
    await client.gets(b"fine")
    return server


def hello(name: str | None, alpn: list[str] | None = None) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = name is not None
    if alpn:
        context.set_alpn_protocols(alpn)
    out = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    return out.read()


@pytest.mark.parametrize(
    ("data", "decision"),
    [
        (hello("other.test"), "not_routed"),
        (hello(None), "not_routed"),
        (hello("llm.test", ["h2"]), "only_h2"),
        (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", "not_http"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "not_http"),
        (b"GET / HTTP/1.0\r\n\r\n", "not_routed"),
        (b"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n", "not_routed"),
    ],
)
async def test_what_is_not_for_us_is_passed_on(
    ca: Path, data: bytes, decision: str, tmp_path: Path
) -> None:
    async with proxy(ca) as stage:
        client = await connects(stage, "127.0.0.1", stage.server.port)
        await passed(stage, client, data)
        assert decisions(stage) == {decision: 1}
        ((_, why),) = stage.listener().stats.passed_hosts.shown()
        assert why == decision
    assert os.listdir(tmp_path) == []  # nobody needed a CA


async def test_a_hello_that_comes_in_drops_is_understood(ca: Path) -> None:
    data = hello("other.test")
    async with proxy(ca) as stage:
        client = await connects(stage, "127.0.0.1", stage.server.port)
        for at in range(0, len(data), 100):
            await client.sends(data[at : at + 100])
            await asyncio.sleep(0.002)
        server = await stage.accepts()
        await server.gets(data)
        assert decisions(stage) == {"not_routed": 1}


async def test_a_server_that_speaks_first_is_waited_for_once(ca: Path) -> None:
    async with proxy(ca) as stage:
        for decision in ("silent", "server_first"):
            client = await connects(stage, "127.0.0.1", stage.server.port)
            server = await stage.accepts()
            await server.sends(b"220 ready\r\n")
            await client.gets(b"220 ready\r\n")
            await client.sends(b"EHLO\r\n")
            await server.gets(b"EHLO\r\n")
            assert decisions(stage)[decision] == 1


@pytest.mark.parametrize("leave", [Peer.half_closes, Peer.closes])
async def test_what_a_server_says_to_a_client_that_has_left_tells_nothing(
    ca: Path, leave: Callable[[Peer], None]
) -> None:
    """Such as an alert, to one that gave up its connection before it said anything."""
    async with proxy(ca) as stage:
        client = await connects(stage, "127.0.0.1", stage.server.port)
        leave(client)
        server = await stage.accepts()
        await server.ends()
        await server.sends(b"\x15\x03\x03\x00\x02\x02\x32")
        server.closes()
        await until(lambda: stage.listener().stats.open == 0)
        client = await connects(stage, "127.0.0.1", stage.server.port)
        await client.sends(hello("other.test"))
        await until(lambda: len(decisions(stage)) == 2)
        assert decisions(stage) == {"silent": 1, "not_routed": 1}


async def test_a_server_that_no_longer_speaks_first_is_waited_for_once(ca: Path) -> None:
    async with proxy(ca) as stage:
        client = await connects(stage, "127.0.0.1", stage.server.port)
        server = await stage.accepts()
        await server.sends(b"HTTP/1.1 408 Too slow\r\n\r\n")
        await client.head()
        for decision in ("server_first", "not_routed"):
            client = await connects(stage, "127.0.0.1", stage.server.port)
            await passed(stage, client, hello("other.test"))
            assert decisions(stage)[decision] == 1


async def test_a_client_that_is_merely_slow_is_looked_at_the_next_time(ca: Path) -> None:
    async with proxy(ca, intercept={"sniff": "20ms"}) as stage:
        client = await connects(stage, "127.0.0.1", stage.server.port)
        server = await stage.accepts()
        await client.sends(hello("llm.test"))
        await server.receives()
        await server.sends(b"x")
        await client.gets(b"x")
        client = await connects(stage, "127.0.0.1", stage.server.port)
        async with inside_tls(client, trusting(ca)) as (reader, writer):
            await call(stage, reader, writer)
        assert decisions(stage) == {"silent": 1, "intercepted_tls": 1}


async def test_a_client_that_ends_before_it_begins(ca: Path) -> None:
    async with proxy(ca, intercept={"sniff": "1h"}) as stage:
        client = await connects(stage, "127.0.0.1", stage.server.port)
        client.half_closes()
        server = await stage.accepts()
        await server.ends()
        await server.sends(b"bye")
        await client.gets(b"bye")


async def test_who_was_connected_finds_nobody_where_there_is_nobody(ca: Path) -> None:
    async with proxy(ca) as stage:
        stage.server.closes()
        client = await connects(stage, "127.0.0.1", stage.server.port)
        await client.sends(b"\x00")
        await client.is_reset()
        client.closes()
        await stage.is_empty()


# -- clients that do not trust us --


async def own_tls(
    stage: Stage, identity: ssl.SSLContext, client: Peer, context: ssl.SSLContext
) -> None:
    """*client* reaches the real server, which has its own *identity*."""
    loop = asyncio.get_running_loop()
    received: asyncio.Future[bytes] = loop.create_future()

    class Protocol(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            received.set_result(data)

    async def serves() -> None:
        accepted = await stage.accepts()
        sock = accepted.sock.dup()
        sock.setblocking(False)
        transport, _ = await loop.connect_accepted_socket(Protocol, sock, ssl=identity)
        await received
        transport.close()
        accepted.closes()

    serving = stage.begins(serves())
    async with inside_tls(client, context, "localhost") as (_, writer):
        writer.write(b"direct")
        await serving
    assert received.result() == b"direct"


async def test_a_client_that_says_so_is_passed_on_the_next_time(ca: Path, tmp_path: Path) -> None:
    theirs = open_authority(tmp_path / "theirs")
    context = ssl.create_default_context(cadata=theirs.pem.decode())
    async with proxy(ca, routed="localhost") as stage:
        await dislikes(await connects(stage, "localhost"), context, "localhost")
        await until(lambda: decisions(stage).get("certificate_refused") == 1)
        client = await connects(stage, "localhost", stage.server.port)
        await own_tls(stage, theirs.context("localhost"), client, context)
        assert decisions(stage) == {
            "intercepted_tls": 1,
            "certificate_refused": 1,
            "untrusting": 1,
        }


async def test_a_client_that_only_leaves_is_passed_on_the_third_time(
    ca: Path, tmp_path: Path
) -> None:
    """In the handshake: as Node, and whoever is on asyncio."""
    theirs = open_authority(tmp_path / "theirs")
    context = ssl.create_default_context(cadata=theirs.pem.decode())
    async with proxy(ca, routed="localhost") as stage:
        for ends in (1, 2):
            client = await connects(stage, "localhost")
            with pytest.raises(ssl.SSLCertVerificationError):
                async with inside_tls(client, context, "localhost"):
                    pass
            client.closes()
            await until(lambda ends=ends: ended_early(stage) == ends)  # type: ignore[misc]
        client = await connects(stage, "localhost", stage.server.port)
        await own_tls(stage, theirs.context("localhost"), client, context)
        assert decisions(stage) == {
            "intercepted_tls": 2,
            "left_early": 1,
            "certificate_refused": 1,
            "untrusting": 1,
        }


def ended_early(stage: Stage) -> int:
    found = decisions(stage)
    return found.get("left_early", 0) + found.get("certificate_refused", 0)


async def test_others_stay_intercepted_meanwhile(ca: Path) -> None:
    """Another program of the same machine, with another TLS stack."""
    stranger = ssl.create_default_context()
    stranger.set_ciphers("ECDHE+AESGCM")
    async with proxy(ca) as stage:
        await dislikes(await connects(stage), stranger)
        await until(lambda: decisions(stage).get("certificate_refused") == 1)
        client = await connects(stage)
        async with inside_tls(client, trusting(ca)) as (reader, writer):
            await call(stage, reader, writer)


async def test_it_is_forgotten_after_a_while(ca: Path) -> None:
    async with proxy(ca, intercept={"remember": "50ms"}) as stage:
        await dislikes(await connects(stage), ssl.create_default_context())
        await until(lambda: decisions(stage).get("certificate_refused") == 1)
        await asyncio.sleep(0.06)
        client = await connects(stage)
        async with inside_tls(client, trusting(ca)) as (reader, writer):
            await call(stage, reader, writer)


async def leaves_behind_the_handshake(stage: Stage, ca: Path) -> None:
    careless = trusting(ca, check_hostname=False, verify_mode=ssl.CERT_NONE)
    client = await connects(stage)
    before = ended_early(stage)
    async with inside_tls(client, careless):
        pass
    await until(lambda: ended_early(stage) > before)


async def test_a_client_that_leaves_behind_the_handshake_may_distrust_us_too(ca: Path) -> None:
    """As GnuTLS: it agrees on TLS first."""
    async with proxy(ca) as stage:
        await leaves_behind_the_handshake(stage, ca)
        assert decisions(stage) == {"intercepted_tls": 1, "left_early": 1}
        await leaves_behind_the_handshake(stage, ca)
        assert decisions(stage)["certificate_refused"] == 1


async def test_a_client_that_has_called_trusts_us_however_it_leaves(ca: Path) -> None:
    async with proxy(ca) as stage:
        server = None
        for _ in range(3):
            await leaves_behind_the_handshake(stage, ca)
            client = await connects(stage)
            async with inside_tls(client, trusting(ca)) as (reader, writer):
                if server is None:
                    server = await call(stage, reader, writer)
                    continue
                writer.write(REQUEST)
                await server.head()
                await server.sends(OK)
                await reader.readuntil(b"ok")
        for _ in range(3):
            await leaves_behind_the_handshake(stage, ca)
        assert decisions(stage) == {"intercepted_tls": 9, "left_early": 6}


async def test_connections_that_are_given_up_together_say_nothing(ca: Path) -> None:
    """A pool's, when its program ends, or calls that are cancelled."""
    async with proxy(ca) as stage:
        clients = [await connects(stage) for _ in range(8)]
        for client in clients:
            await client.sends(hello("llm.test"))
            await client.receives()  # in the middle of the handshake
        for client in clients:
            client.closes()
        await until(lambda: ended_early(stage) == 8)
        assert decisions(stage) == {"intercepted_tls": 8, "left_early": 8}
        client = await connects(stage)
        async with inside_tls(client, trusting(ca)) as (reader, writer):
            await call(stage, reader, writer)


async def test_a_client_that_leaves_before_it_sees_a_certificate_says_nothing(ca: Path) -> None:
    async with proxy(ca) as stage:
        for ends in range(1, 6):
            client = await connects(stage)
            await client.sends(hello("llm.test"))
            client.closes()
            await until(lambda ends=ends: ended_early(stage) == ends)  # type: ignore[misc]
        assert decisions(stage) == {"intercepted_tls": 5, "left_early": 5}
        assert stage.listener().stats.open == 0


async def test_a_handshake_that_takes_too_long_says_nothing(ca: Path) -> None:
    async with proxy(ca, listener={"head_timeout": "50ms"}) as stage:
        for _ in range(4):
            client = await connects(stage)
            await client.sends(hello("llm.test"))
            await client.is_cut()
            client.closes()
        await until(lambda: stage.listener().stats.open == 0)
        assert decisions(stage) == {"intercepted_tls": 4}


async def test_without_a_ca_all_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with proxy(tmp_path / "file" / "ca", routed="localhost") as stage:
        client = await connects(stage, "localhost", stage.server.port)
        await passed(stage, client, hello("localhost"))
        assert decisions(stage) == {"no_ca": 1}


async def test_tls_that_is_none_ends_there(ca: Path) -> None:
    """A ClientHello of a routed host, and then nonsense."""
    async with proxy(ca) as stage:
        client = await connects(stage)
        await client.sends(hello("llm.test") + b"\x17\x03\x03\x00\x02xx")
        await client.is_cut()
        client.closes()
        await until(lambda: stage.listener().stats.open == 0)


async def test_the_sidecar_stops_meanwhile(ca: Path) -> None:
    async with proxy(ca) as stage:
        client = await connects(stage)
        async with inside_tls(client, trusting(ca)) as (reader, writer):
            await call(stage, reader, writer)
            writer.write(REQUEST)
            await until(lambda: stage.serving.in_flight() == 1)
            assert not await stage.serving.drain(0.01)
            with pytest.raises((ConnectionError, ssl.SSLError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)


async def test_a_tunnel_into_a_routed_host_waits_for_the_first_bytes() -> None:
    async with proxy(routed="localhost") as stage:
        client = await connects(stage, "localhost", stage.server.port)
        await passed(stage, client, b"\x01\x02")
        assert decisions(stage) == {"not_http": 1}
        client, server = await tunnel(stage, "127.0.0.1")
        await client.sends(b"\x03")
        await server.gets(b"\x03")
