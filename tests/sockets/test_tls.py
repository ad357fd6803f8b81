"""Callers that connect with https, and what their certificates say of them."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from pathlib import Path
from typing import Any

import pytest

from sidecar.listen import tls_connection
from tests.certificates import Ca, Issued
from tests.sockets.peers import EVENTS, GET, WAIT, chunk, until
from tests.sockets.scripted import Cut, Fleet, Scripted, chat
from tests.sockets.stage import Stage
from tests.sockets.test_access import CALLERS

CA, CALLERS_CA, OTHER_CA = Ca(), Ca(), Ca()
SERVER = CA.issue("localhost", dns=("localhost",))
SPIFFE = "spiffe://cluster.local/ns/prod/sa/billing"
BILLING = CALLERS_CA.issue("cn-of-billing", dns=("billing.svc",), uri=(SPIFFE,))


def listener(folder: Path, access: Any = None, **certificates: Any) -> dict[str, Any]:
    """TLS; with *certificates*, or none of them, callers are known by theirs."""
    cert, key = SERVER.write(folder, "server")
    ca = folder / "callers.pem"
    if not ca.exists():
        ca.write_bytes(CALLERS_CA.pem)
    known = access if access is not None else {"certificates": {"ca": str(ca), **certificates}}
    return {"tls": {"cert": cert, "key": key}, "access": known or None}


class Caller:
    """One https connection to the sidecar."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def asks(self, request: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the reply."""
        self.writer.write(request or chat())
        async with asyncio.timeout(WAIT):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            fields = dict(re.findall(r"\r\n([^:]+): ([^\r]*)", head.lower()))
            body = await self.reader.readexactly(int(fields["content-length"]))
        return int(head.split()[1]), fields, body

    async def ended(self) -> bool:
        async with asyncio.timeout(WAIT):
            return await self.reader.read() == b""

    async def leaves(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


async def caller(stage: Stage, context: ssl.SSLContext) -> Caller:
    port = stage.listener().port
    opened = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost"
    )
    return Caller(*opened)


async def asks(stage: Fleet, context: ssl.SSLContext) -> tuple[int, dict[str, str], bytes]:
    one = await caller(stage, context)
    answer = await one.asks()
    await one.leaves()
    return answer


def teams(stage: Fleet) -> list[str]:
    """Who made the calls so far."""
    return [record.team for record in stage.serving.calls][::-1]


async def test_calls_come_inside_tls(tmp_path: Path) -> None:
    async with Fleet(Scripted("one"), listener=listener(tmp_path, access=())) as stage:
        one = await caller(stage, CA.client(tmp_path))
        for _ in range(2):
            assert (await one.asks())[::2] == (200, b"one")
        await one.leaves()
        assert next(iter(stage.stats.listeners.values())).handshakes == {"ok": 1}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_long_reply_and_a_large_body_pass(tmp_path: Path, version: ssl.TLSVersion) -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + bytes(3_000_000)
    server = Scripted("one", reply)
    context = CA.client(tmp_path)
    context.minimum_version = context.maximum_version = version
    async with Fleet(server, listener=listener(tmp_path, access=())) as stage:
        one = await caller(stage, context)
        status, _, body = await one.asks(chat("m", text="x" * 2_000_000))
        assert (status, body) == (200, bytes(3_000_000))
        assert len(server.requests[0]) > 2_000_000
        await one.leaves()


async def test_plain_http_and_clients_that_leave_are_counted(tmp_path: Path) -> None:
    async with Fleet(Scripted("one"), listener=listener(tmp_path, access=())) as stage:
        plain = await stage.client()
        await plain.sends(chat())
        answer = await plain.until(b"use https://")
        assert answer.startswith(b"HTTP/1.1 400 ")
        plain.closes()
        (await stage.client()).closes()
        handshakes = next(iter(stage.stats.listeners.values())).handshakes
        await until(lambda: handshakes == {"failed": 1, "left": 1}, str(handshakes))
        assert (await asks(stage, CA.client(tmp_path)))[0] == 200


@pytest.mark.parametrize(
    ("issued", "name"),
    [
        (BILLING, SPIFFE),
        (CALLERS_CA.issue("cn", dns=("a.svc", "b.svc")), "a.svc"),
        (CALLERS_CA.issue("only-cn"), "only-cn"),
    ],
)
async def test_a_certificate_names_its_caller(tmp_path: Path, issued: Issued, name: str) -> None:
    access = listener(tmp_path)
    async with Fleet(Scripted("one"), listener=access) as stage:
        assert (await asks(stage, CA.client(tmp_path, issued)))[0] == 200
        assert teams(stage) == [name]


async def test_callers_without_a_name_of_ours_are_refused(tmp_path: Path) -> None:
    server = Scripted("one")
    names = {"name": ["dns"], "allow": ["*.svc"]}
    async with Fleet(server, listener=listener(tmp_path, **names)) as stage:
        for issued, status, code, reason in (
            (None, 401, "unauthorized", "is missing a client certificate"),
            (CALLERS_CA.issue("x", uri=(SPIFFE,)), 401, "unauthorized", "no name of a kind"),
            (CALLERS_CA.issue("x", dns=("other.local",)), 403, "caller_not_allowed", "other.local"),
        ):
            got, fields, body = await asks(stage, CA.client(tmp_path, issued))
            assert (got, fields["x-sidecar-error"]) == (status, code)
            error = json.loads(body)["error"]
            assert reason in error["message"]
        assert (await asks(stage, CA.client(tmp_path, BILLING)))[0] == 200
        denied = next(iter(stage.stats.listeners.values())).denied
        assert denied == {"missing": 1, "nameless": 1, "not_allowed": 1}
        assert server.calls == 1


@pytest.mark.parametrize(
    "issued", [OTHER_CA.issue("billing"), CALLERS_CA.issue("billing", days=-1)]
)
async def test_certificates_that_are_not_valid_fail_in_the_handshake(
    tmp_path: Path, issued: Issued
) -> None:
    async with Fleet(Scripted("one"), listener=listener(tmp_path)) as stage:
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await asks(stage, CA.client(tmp_path, issued))
        handshakes = next(iter(stage.stats.listeners.values())).handshakes
        await until(lambda: handshakes == {"bad_certificate": 1}, str(handshakes))


async def test_a_key_says_more_than_a_certificate(tmp_path: Path) -> None:
    access = {"certificates": {"ca": str(tmp_path / "callers.pem")}, "callers": CALLERS}
    async with Fleet(Scripted("one"), listener=listener(tmp_path, access)) as stage:
        one = await caller(stage, CA.client(tmp_path, BILLING))
        for line in (b"x-api-key: key-of-search", b"authorization: Bearer sk-theirs"):
            assert (await one.asks(chat("m", line)))[0] == 200
        await one.leaves()
        assert teams(stage) == ["search", SPIFFE]
        none = await caller(stage, CA.client(tmp_path))
        assert (await none.asks(chat("m", b"x-api-key: key-of-search")))[0] == 200
        assert (await none.asks())[0] == 401
        await none.leaves()


async def test_a_key_in_our_own_header_never_goes_upstream(tmp_path: Path) -> None:
    server = Scripted("one")
    async with Fleet(server, listener=listener(tmp_path)) as stage:
        one = await caller(stage, CA.client(tmp_path, BILLING))
        assert (await one.asks(chat("m", b"x-sidecar-key: of-another-time")))[0] == 200
        assert b"of-another-time" not in server.requests[0]
        await one.leaves()


async def test_limits_go_by_the_certificate(tmp_path: Path) -> None:
    policy = {"limits": {"client": {"rate": {"per_second": 0.001, "burst": 1}}}}
    access = listener(tmp_path)
    async with Fleet(Scripted("one"), listener=access, policy=policy) as stage:
        for issued in (BILLING, CALLERS_CA.issue("other")):
            statuses = [(await asks(stage, CA.client(tmp_path, issued)))[0] for _ in range(2)]
            assert statuses == [200, 429]


async def test_a_certificate_that_ends_ends_its_connections_calls(tmp_path: Path) -> None:
    issued = CALLERS_CA.issue("short")
    async with Fleet(Scripted("one"), listener=listener(tmp_path)) as stage:
        one = await caller(stage, CA.client(tmp_path, issued))
        assert (await one.asks())[0] == 200
        (connection,) = stage.listener().connections
        assert connection.certificate is not None
        connection.certificate = connection.certificate._replace(until=0.0)
        status, fields, body = await one.asks()
        assert (status, fields["x-sidecar-error"]) == (401, "unauthorized")
        assert b"has expired" in body
        await one.leaves()


async def test_a_new_certificate_is_served_from_the_next_connection_on(tmp_path: Path) -> None:
    async with Fleet(Scripted("one"), listener=listener(tmp_path)) as stage:
        context = CA.client(tmp_path, BILLING)
        one = await caller(stage, context)
        await one.asks()
        first = one.writer.get_extra_info("peercert")["serialNumber"]
        before = stage.listener().files.context
        await stage.apply()
        assert stage.listener().files.context is before  # nothing has changed: nothing is made anew
        CA.issue("localhost", dns=("localhost",)).write(tmp_path, "server")
        await stage.apply()
        assert (await one.asks())[0] == 200  # goes on
        two = await caller(stage, context)
        assert (await two.asks())[0] == 200
        assert two.writer.get_extra_info("peercert")["serialNumber"] != first
        for each in (one, two):
            await each.leaves()


async def test_other_cas_end_the_connections_of_those_before(tmp_path: Path) -> None:
    async with Fleet(Scripted("one"), listener=listener(tmp_path)) as stage:
        one = await caller(stage, CA.client(tmp_path, BILLING))
        assert (await one.asks())[0] == 200
        (tmp_path / "callers.pem").write_bytes(OTHER_CA.pem)
        await stage.apply()
        assert await one.ended()
        await one.leaves()
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await asks(stage, CA.client(tmp_path, BILLING))
        assert (await asks(stage, CA.client(tmp_path, OTHER_CA.issue("new"))))[0] == 200


async def test_tls_can_not_be_turned_on_while_plain_connections_are_open(tmp_path: Path) -> None:
    async with Fleet(Scripted("one")) as stage:
        tls = listener(tmp_path, access=())["tls"]
        stage.config["listeners"][0]["tls"] = tls
        with pytest.raises(OSError, match="whether a listener has TLS can't change"):
            await stage.apply()
        assert (await stage.gets(chat()))[0] == 200


async def test_a_stream_passes_chunk_by_chunk_and_ends_when_its_caller_leaves(
    tmp_path: Path,
) -> None:
    async with Stage(listener=listener(tmp_path, access=())) as stage:
        one = await caller(stage, CA.client(tmp_path))
        one.writer.write(GET)
        server = await stage.accepts()
        await server.head()
        await server.sends(EVENTS)
        for number in range(3):
            event = b"data: %d\n\n" % number
            await server.sends(chunk(event))
            async with asyncio.timeout(WAIT):
                assert event in await one.reader.readuntil(event)
        await one.leaves()
        await server.is_cut()
        assert stage.route.errors == {"caller_left": 1}


async def test_who_takes_nothing_of_a_broken_reply_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_connection, "_LOOK", 0.001)
    monkeypatch.setattr(tls_connection, "_LOOKS", 20)
    begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(bytes(200_000))
    async with Fleet(Scripted("one", Cut(begun)), listener=listener(tmp_path, access=())) as stage:
        peer = await stage.client()
        came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = CA.client(tmp_path).wrap_bio(came, goes, server_hostname="localhost")
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await peer.sends(goes.read())
                came.write(await peer.receives())
        tls.write(chat().replace(b"HTTP/1.1", b"HTTP/1.0"))  # the reply ends with its connection
        await peer.sends(goes.read())
        await until(lambda: stage.route.errors == {"upstream_truncated": 1})
        await until(lambda: not stage.listener().connections)


async def test_a_websocket_passes_both_ways(tmp_path: Path) -> None:
    async with Stage(listener=listener(tmp_path, access=())) as stage:
        one = await caller(stage, CA.client(tmp_path))
        upgrade = b"Upgrade: websocket\r\nConnection: upgrade\r\n"
        one.writer.write(b"GET /v1/realtime HTTP/1.1\r\nHost: a\r\n" + upgrade + b"\r\n")
        server = await stage.accepts()
        await server.head()
        await server.sends(b"HTTP/1.1 101 Switching Protocols\r\n" + upgrade + b"\r\nhello")
        async with asyncio.timeout(WAIT):
            assert (await one.reader.readuntil(b"hello")).startswith(b"HTTP/1.1 101")
        one.writer.write(b"there")
        await server.gets(b"there")
        server.closes()
        assert await one.ended()
        await one.leaves()


async def test_a_handshake_that_takes_too_long_is_over(tmp_path: Path) -> None:
    slow = listener(tmp_path, access=()) | {"head_timeout": "50ms"}
    async with Stage(listener=slow) as stage:
        silent = await stage.client()
        await silent.is_cut()
        handshakes = next(iter(stage.stats.listeners.values())).handshakes
        await until(lambda: handshakes == {"left": 1}, str(handshakes))
