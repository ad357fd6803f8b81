"""TRACE, and requests that say how often they may be forwarded."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sockets.peers import OK
from tests.sockets.proxying import proxy
from tests.sockets.stage import Stage

OURS: dict[str, Any] = {"credentials": {"header": "authorization", "value": "Bearer ours"}}


def ask(method: str, *lines: str, target: str = "/v1/x") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: a", *lines, "", ""]).encode()


async def test_trace_is_not_shown_a_key_of_ours() -> None:
    async with Stage(upstream=OURS) as stage:
        client = await stage.client()
        await client.sends(ask("TRACE"))
        reply = await client.reply()
        assert (reply.status, reply.code) == (405, "trace_refused")
        assert reply["allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
        await client.sends(ask("OPTIONS"))  # the connection goes on
        server = await stage.accepts()
        assert b"Bearer ours" in await server.head()


async def test_trace_passes_where_no_key_is_added() -> None:
    async with Stage() as stage:
        client, server = await stage.call(ask("TRACE"))
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"


@pytest.mark.parametrize(
    ("method", "given", "sent"),
    [
        ("OPTIONS", "1", b"0"),
        ("OPTIONS", "10", b"9"),
        ("TRACE", "3", b"2"),
        ("GET", "0", b"0"),
        ("POST", "5", b"5"),
        ("OPTIONS", "many", b"many"),
        ("OPTIONS", "-1", b"-1"),
        ("OPTIONS", "9" * 30, b"9" * 30),
    ],
)
async def test_one_hop_less_is_left(method: str, given: str, sent: bytes) -> None:
    async with Stage() as stage:
        client = await stage.client()
        await client.sends(ask(method, f"Max-Forwards: {given}", "Content-Length: 0"))
        server = await stage.accepts()
        head = await server.head()
        assert head.lower().count(b"max-forwards") == 1
        assert b"\r\nMax-Forwards: " + sent + b"\r\n" in head


@pytest.mark.parametrize("target", ["/v1/x", "*", "/nowhere"])
async def test_options_end_here_when_no_hop_is_left(target: str) -> None:
    async with Stage(routes=[{"match": {"path": "/v1"}, "upstream": "u"}]) as stage:
        client = await stage.client()
        for _ in range(2):
            await client.sends(ask("OPTIONS", "Max-Forwards: 0", target=target))
            reply = await client.reply()
            assert (reply.status, reply["content-length"], reply.code) == (200, "0", "")
        await stage.is_at_rest()
        assert stage.stats.routes["none", "none"].statuses == {200: 2}
        assert stage.endpoint.attempts == {}


async def test_options_with_a_body_end_the_connection() -> None:
    async with Stage() as stage:
        client = await stage.client()
        await client.sends(ask("OPTIONS", "Max-Forwards: 0", "Content-Length: 5"))
        reply = await client.reply()
        assert (reply.status, reply["connection"]) == (200, "close")
        await client.ends()


async def test_trace_is_refused_when_no_hop_is_left() -> None:
    async with Stage() as stage:
        client = await stage.client()
        await client.sends(ask("TRACE", "Max-Forwards: 0"))
        assert (await client.reply()).code == "trace_refused"


@pytest.mark.parametrize(
    ("method", "status", "code"), [("OPTIONS", 200, ""), ("TRACE", 405, "trace_refused")]
)
async def test_a_forward_proxy_is_a_hop_too(method: str, status: int, code: str) -> None:
    async with proxy() as stage:
        url = f"http://localhost:{stage.server.port}/x"
        client = await stage.client()
        await client.sends(ask(method, "Max-Forwards: 0", target=url))
        reply = await client.reply()
        assert (reply.status, reply.code) == (status, code)
        await client.ends()
        client = await stage.client()
        await client.sends(ask(method, "Max-Forwards: 2", target=url))
        server = await stage.accepts()
        assert b"\r\nMax-Forwards: 1\r\n" in await server.head()
