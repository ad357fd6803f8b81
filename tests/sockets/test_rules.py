"""Rules: calls that are answered, or refused, without an upstream."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from sidecar.llm.dialects import APIS, Dialect
from sidecar.llm.texts import text_of
from tests.sockets.peers import Peer
from tests.sockets.scripted import Fleet, Scripted
from tests.sockets.stage import Stage

RULES: list[Any] = [
    {"name": "ping", "exact": ["ping"], "answer": "pong"},
    {"name": "order", "regex": [r"order (\d+)"], "answer": "Order {1} is here."},
    {"name": "bomb", "regex": ["bomb"], "refuse": {"message": "Not here.", "status": 451}},
]


def asked(body: Any, path: str = "/v1/chat/completions", *lines: bytes) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [
        f"POST {path} HTTP/1.1".encode(),
        b"Host: a",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(data),
        *lines,
    ]
    return b"\r\n".join(head) + b"\r\n\r\n" + data


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def stage(*servers: Scripted, dialect: str = "openai", **more: Any) -> Fleet:
    upstreams = {
        "u": {"endpoints": [{"url": server.url} for server in servers], "dialect": dialect}
    }
    return Fleet(*servers, policy={"rules": RULES, **more}, upstreams=upstreams)


async def answered(stage: Stage, request: bytes, client: Peer | None = None) -> Any:
    client = client or await stage.client()
    await client.sends(request)
    return await client.reply()


CONTENTS = {"contents": [{"parts": [{"text": "ping"}]}]}
CALLS: list[tuple[Dialect, str, dict[str, Any]]] = [
    ("openai", "/v1/chat/completions", said("ping")),
    ("openai", "/v1/completions", {"model": "m", "prompt": "ping"}),
    ("openai", "/v1/responses", {"model": "m", "input": "ping"}),
    ("mistral", "/v1/chat/completions", said("ping")),
    ("anthropic", "/v1/messages", said("ping", max_tokens=9)),
    ("cohere", "/v2/chat", said("ping")),
    ("gemini", "/v1beta/models/m:generateContent", CONTENTS),
]


@pytest.mark.parametrize(("dialect", "path", "body"), CALLS)
async def test_a_rule_answers_in_every_dialect(
    dialect: Dialect, path: str, body: dict[str, Any]
) -> None:
    server = Scripted("u")
    async with stage(server, dialect=dialect) as fleet:
        reply = await answered(fleet, asked(body, path))
        assert (reply.status, reply["x-sidecar-rule"]) == (200, "ping")
        assert reply["content-type"] == "application/json"
        read = APIS[dialect].reply(reply.body)
        assert read is not None
        assert read.model in ("m", None)
        assert read.usage is not None
        assert (read.usage.input, read.usage.output) == (0, 0)
        if path.endswith(("chat", "chat/completions", "messages", "generateContent")):
            assert text_of(dialect, reply.body) == "pong"
        if dialect == "gemini":
            path = path.replace("generateContent", "streamGenerateContent?alt=sse")
        else:
            body = {**body, "stream": True}
        reply = await answered(fleet, asked(body, path))
        assert reply["content-type"] == "text/event-stream; charset=utf-8"
        stream = APIS[dialect].stream()
        stream.feed(reply.body)
        assert stream.finish("ended") == "complete"
        assert b"pong" in reply.body
        assert server.calls == 0
        assert fleet.route.rules == {"ping": 2}


async def test_a_rule_refuses_as_the_api_would() -> None:
    server = Scripted("u")
    async with stage(server, dialect="anthropic") as fleet:
        reply = await answered(fleet, asked(said("a bomb"), "/v1/messages"))
        assert (reply.status, reply["x-sidecar-rule"]) == (451, "bomb")
        assert reply["x-sidecar-error"] == "rule_refused"
        error = json.loads(reply.body)
        assert error["type"] == "error"
        assert error["error"]["message"] == "Not here."
        assert server.calls == 0
        assert (fleet.route.rules, fleet.route.errors) == ({"bomb": 1}, {"rule_refused": 1})


@pytest.mark.parametrize(
    "request_",
    [
        asked(said("pong")),
        asked({"model": "m", "input": "ping"}, "/v1/embeddings"),
        asked(said("ping"), "/v1/files"),
        asked(b"no JSON"),
        asked(said("ping")).replace(b"POST", b"PUT"),
        asked({"messages": [*said("ping")["messages"], {"role": "assistant", "content": "p"}]}),
        asked(b"\x1f\x8b no gzip", "/v1/chat/completions", b"Content-Encoding: gzip"),
    ],
)
async def test_other_calls_go_upstream(request_: bytes) -> None:
    async with stage(Scripted("u")) as fleet:
        reply = await answered(fleet, request_)
        assert reply.body == b"u"
        assert not fleet.route.rules


async def test_a_compressed_body_is_read_too() -> None:
    async with stage(Scripted("u")) as fleet:
        body = gzip.compress(json.dumps(said("order 12")).encode())
        call = asked(body, "/v1/chat/completions", b"Content-Encoding: gzip")
        reply = await answered(fleet, call)
        assert text_of("openai", reply.body) == "Order 12 is here."


async def test_a_body_that_is_not_held_goes_upstream() -> None:
    async with stage(Scripted("u"), hold="1B") as fleet:
        call = asked(said("ping", user="u" * 600_000))
        assert (await answered(fleet, call)).body == b"u"


async def test_limits_count_what_rules_answer() -> None:
    limits = {"rate": {"per_second": 0.001, "burst": 1}}
    async with stage(Scripted("u"), limits=limits) as fleet:
        client = await fleet.client()
        assert (await answered(fleet, asked(said("ping")), client)).status == 200
        assert (await answered(fleet, asked(said("ping")), client)).status == 429


async def test_a_connection_serves_on_and_a_head_of_1_0_is_answered() -> None:
    async with stage(Scripted("u")) as fleet:
        client = await fleet.client()
        for _ in range(3):
            assert (await answered(fleet, asked(said("ping")), client)).status == 200
        old = asked(said("ping", stream=True)).replace(b"HTTP/1.1", b"HTTP/1.0")
        assert (await answered(fleet, old)).status == 200


async def test_a_route_without_rules_has_no_layer_for_them() -> None:
    async with Stage() as plain:
        [rule] = plain.serving.snapshot.router.rules
        assert "Rules" not in repr(rule.route.stack)
