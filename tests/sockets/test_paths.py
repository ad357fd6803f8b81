"""Paths that servers read in different ways, on every kind of listener."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.sockets.peers import OK, Peer
from tests.sockets.proxying import ESTABLISHED, asks, inside_tls, proxy, trusting
from tests.sockets.stage import Stage

CLIMBING = ["/v1/chat/../files", "/v1/chat/%2e%2e/files", "/v1/chat/..%2ffiles", "/v1/./files"]
HARMLESS = ["/v1/models/org%2Fmodel?a=../b", "/v1//x/", "/v1/a..b/%20%7E", "/v1/x/https://a/b"]


def get(target: str, host: str = "llm.test") -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def routed() -> list[dict[str, object]]:
    return [{"name": "r", "match": {"path": "/v1/"}, "upstream": "u"}]


async def is_refused(client: Peer) -> None:
    reply = await client.reply()
    assert (reply.status, reply.code) == (400, "bad_path")
    assert json.loads(reply.body)["error"]["code"] == "bad_path"


@pytest.mark.parametrize("path", CLIMBING)
async def test_a_path_that_climbs_reaches_no_server(path: str) -> None:
    async with Stage(routes=routed()) as stage:
        client = await stage.client()
        for _ in range(2):  # the connection goes on
            await client.sends(get(path))
            await is_refused(client)
        assert stage.endpoint.attempts == {}


@pytest.mark.parametrize("path", HARMLESS)
async def test_a_harmless_path_passes_byte_for_byte(path: str) -> None:
    async with Stage(routes=routed()) as stage:
        client, server = await stage.client(), None
        await client.sends(get(path))
        server = await stage.accepts()
        assert (await server.head()).startswith(f"GET {path} HTTP/1.1\r\n".encode())
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"


@pytest.mark.parametrize("path", CLIMBING)
async def test_to_a_forward_proxy(path: str) -> None:
    async with proxy() as stage:
        client = await stage.client()
        await client.sends(get(f"http://llm.test{path}"))
        await is_refused(client)


async def test_behind_connect(tmp_path: Path) -> None:
    async with proxy(tmp_path / "ca") as stage:
        client = await asks(stage, "CONNECT llm.test:80 HTTP/1.1")
        await client.gets(ESTABLISHED)
        await client.sends(get(CLIMBING[0]))
        await is_refused(client)
        client = await asks(stage, "CONNECT llm.test:443 HTTP/1.1")
        await client.gets(ESTABLISHED)
        async with inside_tls(client, trusting(tmp_path / "ca")) as (reader, writer):
            writer.write(get(CLIMBING[0]))
            assert b"x-sidecar-error: bad_path" in await reader.readuntil(b"\r\n\r\n")


async def test_what_no_route_takes_over_is_not_looked_at() -> None:
    async with proxy() as stage:
        client = await stage.client()
        url = f"http://127.0.0.1:{stage.server.port}/a/../b"
        await client.sends(get(url, f"127.0.0.1:{stage.server.port}"))
        server = await stage.accepts()
        assert (await server.head()).startswith(b"GET /a/../b HTTP/1.1\r\n")
