"""What leaves, what comes back and what is refused, where a route redacts."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from tests.sockets.peers import EVENTS, GET, Peer, Server, chunk, ok
from tests.sockets.stage import Stage
from tests.sockets.test_shaping import chat, sent

MAIL = "bob@example.com"
JSON = b"Content-Type: application/json"
MASK: dict[str, Any] = {"redact": {}}
ASK = json.dumps({"messages": [{"role": "user", "content": f"write to {MAIL}"}]}).encode()


async def asked(stage: Stage, body: bytes = ASK, *lines: bytes) -> tuple[Peer, Peer, bytes, bytes]:
    """Both ends of a call, and the head and body that the server got."""
    client = await stage.client()
    await client.sends(chat(body, JSON, *lines))
    server = await stage.accepts()
    return (client, server, *await sent(server))


async def refused(stage: Stage, request: bytes, status: int, code: str) -> str:
    client = await stage.client()
    await client.sends(request)
    reply = await client.reply()
    assert (reply.status, reply.code) == (status, code)
    assert MAIL not in reply.body.decode()
    return str(json.loads(reply.body)["error"]["message"])


async def test_a_value_is_masked_and_restored() -> None:
    async with Stage(policy=MASK) as stage:
        client, server, head, body = await asked(stage, ASK, b"Accept-Encoding: gzip, br")
        assert json.loads(body)["messages"][0]["content"] == "write to [[EMAIL_1]]"
        assert b"\r\nAccept-Encoding: identity\r\n" in head
        await server.sends(ok(b'{"a":"sent to [[EMAIL_1]], not [[EMAIL_2]]"}', JSON))
        reply = await client.reply()
        assert json.loads(reply.body) == {"a": f"sent to {MAIL}, not [[EMAIL_2]]"}
        assert reply["x-sidecar-redacted"] == "EMAIL=1"
        assert stage.route.redacted == {"EMAIL": 1}


@pytest.mark.parametrize("step", [1, 7, 10_000])
async def test_a_stream_is_restored_split_anywhere(step: int) -> None:
    async with Stage(policy=MASK) as stage:
        client, server, *_ = await asked(stage)
        stream = b"".join(
            b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % part
            for part in (b"to ", b"[", b"[EM", b"AIL_1]", b"], ", b"[[EM")
        )
        stream += b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        stream += b"data: [DONE]\n\n"
        await server.sends(EVENTS)
        for at in range(0, len(stream), step):
            await server.sends(chunk(stream[at : at + step]))
        await server.sends(b"0\r\n\r\n")
        events = (await client.reply()).body.split(b"\n\n")
        assert events[-2:] == [b"data: [DONE]", b""]
        choices = [json.loads(event[6:])["choices"][0] for event in events[:-2]]
        said = [choice["delta"].get("content", "") for choice in choices]
        assert "".join(said) == f"to {MAIL}, [[EM"
        assert choices[-1]["finish_reason"] == "stop"


async def test_what_has_nothing_to_mask_is_as_without() -> None:
    async with Stage(policy=MASK) as stage:
        client, server, head, body = await asked(stage, b'{"messages": [], "x": 1.0}')
        assert body == b'{"messages": [], "x": 1.0}'
        assert b"accept-encoding" not in head.lower()
        await server.sends(ok(b'{"a":"[[EMAIL_1]]"}', JSON))
        reply = await client.reply()
        assert (reply.body, reply["x-sidecar-redacted"]) == (b'{"a":"[[EMAIL_1]]"}', "")
        await client.sends(GET)
        await server.head()
        await server.sends(ok(b"list"))
        assert (await client.reply()).body == b"list"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
async def test_placeholders_are_none_that_the_prompt_has(encoding: str) -> None:
    async with Stage(policy=MASK) as stage:
        for spelt in ("[[EMAIL_1]]", "[\\u005bEMAIL_1]]"):
            text = f'{{"prompt":"say {spelt} to {MAIL}"}}'
            client, server, _, body = await asked(stage, text.encode(encoding))
            placeholder = json.loads(body.decode(encoding))["prompt"].split(" to ")[1]
            assert placeholder != "[[EMAIL_1]]"
            reply = json.dumps({"a": f"[[EMAIL_1]] {placeholder}"}).encode()
            await server.sends(ok(reply, JSON))
            assert json.loads((await client.reply()).body) == {"a": f"[[EMAIL_1]] {MAIL}"}
            server.closes()


async def test_a_compressed_body_is_looked_at() -> None:
    async with Stage(policy=MASK) as stage:
        _, server, head, body = await asked(stage, gzip.compress(ASK), b"Content-Encoding: gzip")
        assert b"bob" not in body
        assert b"content-encoding" not in head.lower()
        await server.sends(ok(b"{}"))


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (chat(b'{"prompt": ' + b'"bob@example.com"', JSON), 400),
        (chat(b"[1]", JSON), 400),
        (chat(b"zipped", JSON, b"Content-Encoding: br"), 400),
        (chat(b'{"prompt":"%b"}' % (b"x" * 300), JSON)[:-9], 413),
        (
            b"GET /v1/realtime HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            400,
        ),
    ],
)
async def test_what_can_not_be_looked_at_is_refused(request_: bytes, status: int) -> None:
    async with Stage(policy={**MASK, "hold": "200B"}) as stage:
        await refused(stage, request_, status, "not_redacted")
        assert stage.route.redacted == {"unread": 1}
        assert not stage.endpoint.attempts


async def test_what_is_no_text_passes() -> None:
    async with Stage(policy={**MASK, "hold": "50B"}) as stage:
        client = await stage.client()
        for body in (b"\xff\xfb\x90" * 10, b"\xff\xfb\x90" * 100):
            await client.sends(chat(body, b"Content-Type: audio/mpeg", path=b"/v1/audio"))
            server = stage.server.peers[-1] if stage.server.peers else await stage.accepts()
            assert (await sent(server))[1] == body
            await server.sends(ok(b"{}"))
            assert (await client.reply()).status == 200


async def test_calls_with_values_may_be_refused() -> None:
    policy = {
        "redact": {"action": "refuse", "rules": ["emails"], "patterns": {"STAFF": "EMP-[0-9]{6}"}}
    }
    async with Stage(policy=policy) as stage:
        body = b'{"prompt":"bob@example.com, amy@example.com and EMP-123456"}'
        told = await refused(stage, chat(body, JSON), 400, "sensitive_content")
        assert told == "the prompt has what must not leave: EMAIL=2, STAFF=1"
        assert stage.route.redacted == {"EMAIL": 2, "STAFF": 1, "refused": 1}


async def test_a_reply_in_a_coding_is_counted_as_not_restored() -> None:
    async with Stage(policy=MASK) as stage:
        client, server, *_ = await asked(stage)
        zipped = gzip.compress(b'"[[EMAIL_1]]"')
        await server.sends(ok(zipped, JSON, b"Content-Encoding: gzip"))
        assert (await client.reply()).body == zipped
        assert stage.route.redacted == {"EMAIL": 1, "unrestored": 1}


# -- the guard --


def guarded(**more: Any) -> tuple[Stage, Server]:
    servers = [Server(), Server()]
    guard = {"upstream": "dlp", "path": "/check", "deadline": "1h", **more}
    upstreams = {
        "u": {"endpoints": [{"url": servers[0].url}]},
        "dlp": {"endpoints": [{"url": servers[1].url}]},
    }
    policy = {"redact": {"guard": guard}}
    return Stage(upstreams=upstreams, policy=policy, servers=servers), servers[1]


async def test_a_guard_is_asked_without_values_and_keys() -> None:
    stage, guard = guarded()
    async with stage:
        client = await stage.client()
        await client.sends(chat(ASK, JSON, b"Authorization: Bearer secret", b"X-Team: a"))
        asked = await guard.accepts()
        head, body = await sent(asked)
        assert head.startswith(b"POST /check HTTP/1.1\r\n")
        assert b"secret" not in head
        question = json.loads(body)
        assert question | {"request_id": ""} == {
            "request_id": "",
            "route": "r",
            "path": "/v1/chat/completions",
            "model": None,
            "masked": {"EMAIL": 1},
            "body": {"messages": [{"role": "user", "content": "write to [[EMAIL_1]]"}]},
        }
        await asked.sends(ok(b'{"allow": true}', JSON))
        server = await stage.accepts()
        assert b"Bearer secret" in (await sent(server))[0]
        await server.sends(ok(b'{"a":"[[EMAIL_1]]"}', JSON))
        assert json.loads((await client.reply()).body) == {"a": MAIL}


async def test_a_guard_refuses() -> None:
    stage, guard = guarded()
    async with stage:
        client = await stage.client()
        await client.sends(chat(ASK, JSON))
        asked = await guard.accepts()
        await sent(asked)
        await asked.sends(ok(b'{"allow": false, "reason": "no mail"}', JSON))
        reply = await client.reply()
        assert (reply.status, reply.code) == (400, "guard_refused")
        assert b"no mail" in reply.body
        assert stage.route.redacted == {"EMAIL": 1, "guard_refused": 1}


ANSWERS = {
    "none in time": None,
    "an error": b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
    "no JSON": ok(b"yes"),
    "no verdict": ok(b'{"ok":true}', JSON),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("away", ["allow", "refuse"])
async def test_a_guard_that_is_away_has_a_stated_answer(answer: bytes | None, away: str) -> None:
    stage, guard = guarded(when_away=away, deadline="1ms" if answer is None else "1h")
    async with stage:
        client = await stage.client()
        await client.sends(chat(ASK, JSON))
        if answer is not None:
            asked = await guard.accepts()
            await sent(asked)
            await asked.sends(answer)
        if away == "refuse":
            reply = await client.reply()
            assert (reply.status, reply.code) == (503, "guard_away")
        else:
            server = await stage.accepts()
            await sent(server)
            await server.sends(ok(b"{}", JSON))
            assert (await client.reply()).status == 200
        assert stage.route.redacted == {"EMAIL": 1, "guard_away": 1}
        await asyncio.sleep(0)


async def test_a_caller_who_leaves_while_the_guard_thinks_leaves_nothing_behind() -> None:
    stage, guard = guarded()
    async with stage:
        client = await stage.client()
        await client.sends(chat(ASK, JSON))
        asked = await guard.accepts()
        await sent(asked)
        client.closes()
        await asked.is_cut()
