"""Hints for prompt caches, as upstreams get them, and what follows them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sockets.peers import Server, ok
from tests.sockets.scripted import Fleet, Scripted, chat
from tests.sockets.stage import Stage
from tests.sockets.test_shaping import sent

HINTS: dict[str, Any] = {"prompt_cache": {"at_least": "0B"}}
USAGE = {"prompt_tokens": 1000, "completion_tokens": 1, "prompt_tokens_details": {}}


def messages(path: bytes = b"/v1/messages") -> bytes:
    body = b'{"model":"c","messages":[]}'
    return b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (path, len(body), body)


async def test_each_upstream_gets_the_hint_of_its_api() -> None:
    servers = [Server(), Server()]
    upstreams = {
        "o": {"endpoints": [{"url": servers[0].url}]},
        "a": {"endpoints": [{"url": servers[1].url}], "dialect": "anthropic"},
    }
    routes: list[dict[str, Any]] = [
        {"upstream": "a", "match": {"path": "/v1/messages"}},
        {"upstream": "o"},
    ]
    async with Stage(policy=HINTS, upstreams=upstreams, routes=routes, servers=servers) as stage:
        client = await stage.client()
        await client.sends(messages())
        peer = await servers[1].accepts()
        assert json.loads((await sent(peer))[1])["cache_control"] == {"type": "ephemeral"}
        await peer.sends(ok(b"{}"))
        await client.reply()
        await client.sends(messages(b"/v1/messages/count_tokens"))
        assert (await sent(peer))[1] == b'{"model":"c","messages":[]}'
        await peer.sends(ok(b"{}"))
        await client.reply()
        await client.sends(chat(messages=[{"role": "user", "content": "hi"}]))
        peer = await servers[0].accepts()
        assert len(json.loads((await sent(peer))[1])["prompt_cache_key"]) == 32
        await peer.sends(ok(b"{}"))
        await client.reply()


async def test_prefix_affinity_follows_the_key() -> None:
    servers = [Scripted(name) for name in "abc"]
    upstream = {"balance": "prefix"}

    async def where(stage: Fleet, **more: Any) -> bytes:
        return (await stage.gets(chat("m", **more)))[1]

    async with Fleet(*servers, policy=HINTS, upstream=upstream) as stage:
        asked = [[{"role": "user", "content": str(n)}] for n in range(12)]
        homes = [await where(stage, messages=each) for each in asked]
        assert len(set(homes)) > 1
        assert [await where(stage, messages=each) for each in asked] == homes
        same = {await where(stage, messages=each, prompt_cache_key="mine") for each in asked}
        assert len(same) == 1
        assert stage.route.hinted == {"added": 24, "kept": 12}


async def test_what_caches_saved_is_counted() -> None:
    async with Stage() as stage:
        stage.config["prices"] = {"m": {"input": 2.0, "output": 8.0, "cached": 0.5}}
        await stage.apply()
        client = await stage.client()
        await client.sends(chat())
        usage = {**USAGE, "prompt_tokens_details": {"cached_tokens": 800}}
        reply = {"object": "chat.completion", "id": "x", "model": "m", "usage": usage}
        choices = [{"finish_reason": "stop", "message": {"content": "hi"}}]
        body = json.dumps({**reply, "choices": choices}).encode()
        server = await stage.accepts()
        await sent(server)
        await server.sends(ok(body, b"Content-Type: application/json"))
        assert (await client.reply()).status == 200
        spent = stage.route.models.spent_by("m", "")
        assert spent.cached == 800
        assert spent.saved == pytest.approx(800 * 1.5 / 1e6)
