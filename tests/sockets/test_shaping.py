"""What the upstream is asked, and what the caller is told, where a route shapes calls."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.sockets.peers import OK, Peer, Server, until
from tests.sockets.stage import Stage

CAP = {"shape": {"max_tokens": {"default": 64, "cap": 128}}}


def chat(body: bytes, *lines: bytes, path: bytes = b"/v1/chat/completions") -> bytes:
    head = b"".join(line + b"\r\n" for line in lines)
    return b"POST %b HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b" % (
        path,
        head,
        len(body),
        body,
    )


async def sent(server: Peer) -> tuple[bytes, bytes]:
    """Head and body that the server gets."""
    head = await server.head()
    size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    body = b""
    while len(body) < size:
        body += await server.receives(size - len(body))
    return head, body


async def test_a_call_is_shaped_and_the_caller_is_told() -> None:
    async with Stage(policy=CAP) as stage:
        client = await stage.client()
        await client.sends(chat(b'{"model": "m", "max_tokens": 9000, "x": 1.0}'))
        server = await stage.accepts()
        assert (await sent(server))[1] == b'{"model": "m", "max_tokens": 128, "x": 1.0}'
        await server.sends(OK)
        assert (await client.reply())["x-sidecar-shaped"] == "max_tokens=128"
        assert stage.route.shaped == {"max_tokens": 1}
        # What needs no change is the caller's own, and nothing is told.
        await client.sends(chat(b'{"max_tokens": 9}'))
        assert (await sent(server))[1] == b'{"max_tokens": 9}'
        await server.sends(OK)
        assert (await client.reply())["x-sidecar-shaped"] == ""
        assert stage.route.shaped == {"max_tokens": 1}


async def test_callers_that_share_a_call_are_all_told() -> None:
    async with Stage(policy={**CAP, "single_flight": {}}) as stage:
        clients = [await stage.client(), await stage.client()]
        for client in clients:
            await client.sends(chat(b'{"temperature":0,"max_tokens":999}'))
        server = await stage.accepts()
        await sent(server)
        await until(lambda: stage.route.in_flight == 2)
        await server.sends(OK)
        for client in clients:
            assert (await client.reply())["x-sidecar-shaped"] == "max_tokens=128"
        assert sum(stage.endpoint.attempts.values()) == 1


async def test_a_compressed_body_is_sent_plain() -> None:
    async with Stage(policy=CAP) as stage:
        client = await stage.client()
        await client.sends(chat(gzip.compress(b'{"n":1}'), b"Content-Encoding: gzip"))
        server = await stage.accepts()
        head, body = await sent(server)
        assert body == b'{"n":1,"max_tokens":64}'
        assert b"content-encoding" not in head.lower()
        await server.sends(OK)
        assert (await client.reply()).status == 200


@pytest.mark.parametrize(
    ("body", "line"),
    [(b"no json", b"X: 1"), (b"zipped", b"Content-Encoding: gzip"), (b"x" * 99, b"X: 1")],
)
async def test_what_can_not_be_read_goes_on_as_it_is(body: bytes, line: bytes) -> None:
    async with Stage(policy={**CAP, "hold": "50B"}) as stage:
        client = await stage.client()
        await client.sends(chat(body, line))
        server = await stage.accepts()
        assert (await sent(server))[1] == body
        await server.sends(OK)
        assert (await client.reply())["x-sidecar-shaped"] == "unread"
        assert stage.route.shaped == {"unread": 1}


async def test_a_prompt_that_is_too_long_is_refused_in_the_apis_words() -> None:
    long: dict[str, Any] = {"shape": {"context": {"tokens": 10}}}
    async with Stage(policy=long) as stage:
        client = await stage.client()
        body = json.dumps({"messages": [{"role": "user", "content": "word " * 50}]}).encode()
        await client.sends(chat(body))
        reply = await client.reply()
        assert (reply.status, reply.code) == (400, "context_length_exceeded")
        error = json.loads(reply.body)["error"]
        assert (error["code"], error["type"]) == (
            "context_length_exceeded",
            "invalid_request_error",
        )
        assert stage.route.shaped == {"refused": 1}
        assert not stage.endpoint.attempts


async def test_a_fallback_with_a_longer_context_gets_the_call() -> None:
    servers = [Server(), Server()]
    upstreams = {
        "small": {
            "endpoints": [{"url": servers[0].url}],
            "policy": {"shape": {"context": {"tokens": 10}, "max_tokens": {"cap": 5}}},
        },
        "large": {"endpoints": [{"url": servers[1].url}], "policy": CAP},
    }
    routes = [{"upstream": "small", "fallback": [{"upstream": "large"}]}]
    async with Stage(upstreams=upstreams, routes=routes, servers=servers) as stage:
        client = await stage.client()
        await client.sends(chat(b'{"messages":[],"prompt":"%b"}' % (b"word " * 50)))
        server = await servers[1].accepts()
        _, body = await sent(server)
        assert json.loads(body)["max_tokens"] == 64
        await server.sends(OK)
        assert (await client.reply())["x-sidecar-shaped"] == "max_tokens=64"


async def test_a_mirror_gets_what_is_shaped_for_it() -> None:
    servers = [Server(), Server()]
    upstreams = {
        "a": {"endpoints": [{"url": servers[0].url}]},
        "b": {"endpoints": [{"url": servers[1].url}], "policy": CAP},
    }
    routes = [{"upstream": "a", "mirror": {"upstream": "b"}}]
    async with Stage(upstreams=upstreams, routes=routes, servers=servers) as stage:
        client = await stage.client()
        await client.sends(chat(b'{"n":1}'))
        for server, body in zip(servers, (b'{"n":1}', b'{"n":1,"max_tokens":64}'), strict=True):
            peer = await server.accepts()
            assert (await sent(peer))[1] == body
            await peer.sends(OK)
        assert (await client.reply())["x-sidecar-shaped"] == ""


async def test_other_operations_are_not_shaped() -> None:
    async with Stage(policy=CAP) as stage:
        client = await stage.client()
        await client.sends(chat(b'{"input":"a"}', path=b"/v1/embeddings"))
        server = await stage.accepts()
        assert (await sent(server))[1] == b'{"input":"a"}'
        await server.sends(OK)
        assert (await client.reply())["x-sidecar-shaped"] == ""
