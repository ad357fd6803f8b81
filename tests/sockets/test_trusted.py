"""What a trusted caller may say of one call, and that nobody else may."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sockets.peers import CHUNKED, chunk
from tests.sockets.scripted import Fleet, Scripted, chat, status

TRUSTED: dict[str, Any] = {"trust": {"headers": True}}


@pytest.mark.parametrize(("listener", "calls"), [(TRUSTED, 5), ({}, 3)])
async def test_retries(listener: dict[str, Any], calls: int) -> None:
    one = Scripted("one", always=status(500))
    async with Fleet(one, listener=listener) as stage:
        assert (await stage.gets(chat("m", b"x-sidecar-retries: 4")))[0] == 500
        assert one.calls == calls


async def test_retries_where_the_policy_has_none() -> None:
    one = Scripted("one", status(500))
    async with Fleet(one, listener=TRUSTED, policy={"retry": {"max": 0}}) as stage:
        assert (await stage.gets(chat("m", b"x-sidecar-retries: 1")))[0] == 200


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (b"x-sidecar-timeout: 50ms", "total_timeout"),
        (b"x-sidecar-first-byte-timeout: 50ms", "first_byte_timeout"),
    ],
)
async def test_timers(header: bytes, code: str) -> None:
    one = Scripted("one", always="hang")
    async with Fleet(one, listener=TRUSTED, policy={"retry": {"max": 0}}) as stage:
        got, _, reply = await stage.gets(chat("m", header))
        assert (got, reply.code) == (504, code)


async def test_the_idle_timer() -> None:
    one = Scripted("one", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome")
    async with Fleet(one, listener=TRUSTED) as stage:
        client = await stage.client()
        await client.sends(chat("m", b"x-sidecar-idle-timeout: 50ms"))
        await client.until(b"some")
        await client.is_cut()
        assert stage.route.errors == {"idle_timeout": 1}


async def test_another_policy() -> None:
    one = Scripted("one", always=status(500))
    async with Fleet(one, listener=TRUSTED) as stage:
        stage.config["policies"]["eager"] = {"retry": {"max": 5}}
        await stage.apply()
        assert (await stage.gets(chat("m", b"x-sidecar-policy: eager")))[0] == 500
        assert one.calls == 6
        assert (await stage.gets(chat()))[0] == 500
        assert one.calls == 9


@pytest.mark.parametrize(("said", "flags"), [(b"1", 1), (b"0", 0)])
async def test_sampling(said: bytes, flags: int) -> None:
    one = Scripted("one")
    async with Fleet(one, listener=TRUSTED) as stage:
        await stage.gets(chat("m", b"x-sidecar-trace: " + said))
        line = next(x for x in one.requests[0].split(b"\r\n") if x.startswith(b"traceparent"))
        assert int(line[-2:], 16) & 1 == flags


@pytest.mark.parametrize(
    "header",
    [
        b"x-sidecar-retries: -1",
        b"x-sidecar-retries: 11",
        b"x-sidecar-timeout: soon",
        b"x-sidecar-timeout: 0s",
        b"x-sidecar-priority: urgent",
        b"x-sidecar-policy: nobody",
        b"x-sidecar-labels: v2",
        b"x-sidecar-trace: yes",
    ],
)
async def test_what_makes_no_sense_is_refused(header: bytes) -> None:
    one = Scripted("one")
    async with Fleet(one, listener=TRUSTED) as stage:
        got, body, reply = await stage.gets(chat("m", header))
        assert (got, reply.code) == (400, "bad_override")
        assert header.partition(b":")[0].decode() in json.loads(body)["error"]["message"]
        assert one.calls == 0


@pytest.mark.parametrize("listener", [TRUSTED, {}])
@pytest.mark.parametrize("whole", [True, False])
async def test_nothing_of_it_goes_upstream(listener: dict[str, Any], whole: bool) -> None:
    one = Scripted("one")
    async with Fleet(one, listener=listener) as stage:
        lines = (b"X-Sidecar-Priority: low", b"x-sidecar-anything: 1", b"x-other: kept")
        request = chat("m", *lines)
        if not whole:  # what comes in two reads goes through the parser
            client = await stage.client()
            await client.sends(request[:40])
            await client.silent(0.02)
            await client.sends(request[40:])
            assert (await client.reply()).status == 200
        else:
            assert (await stage.gets(request))[0] == 200
        sent = one.requests[0].lower()
        assert b"x-sidecar" not in sent
        assert b"x-other: kept" in sent


async def test_a_chunked_body_of_another_model_is_framed_by_its_length() -> None:
    one = Scripted("one")
    routes = [{"upstream": "u", "model": "another"}]
    async with Fleet(one, routes=routes) as stage:
        head = CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Type: application/json\r\n\r\n")
        request = head + chunk(b'{"model": "m"}') + b"0\r\n\r\n"
        assert (await stage.gets(request))[0] == 200
        assert one.requests[0].endswith(b'\r\n\r\n{"model": "another"}')
