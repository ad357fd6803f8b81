"""Whom a caller's keys are shown: the route's own upstream, and no other unless it says so."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sockets.peers import CHUNKED, OK, until
from tests.sockets.scripted import Fleet, Scripted, chat, status
from tests.sockets.stage import Stage

KEYS = [
    b"Authorization: Bearer mine",
    b"authorization: Bearer again",
    b"X-Api-Key: mine",
    b"api-key: mine",
    b"x-goog-api-key: mine",
    b"Cookie: session=mine",
    b"OpenAI-Organization: mine",
    b"X-Amz-Security-Token: mine",
]
OTHERS = [b"OpenAI-Beta: kept", b"Idempotency-Key: kept", b"anthropic-version: kept"]
OURS = {"header": "authorization", "value": "Bearer ours"}
QUERY = b"?key=mine&alt=sse&access_token=mine"


def call() -> bytes:
    return chat("m", *KEYS, *OTHERS).replace(b"/completions ", b"/completions" + QUERY + b" ")


def shown(request: bytes) -> tuple[int, int, int]:
    """How many keys of the caller's, other things of its, and keys of ours it has."""
    head = request.partition(b"\r\n\r\n")[0]
    return head.count(b"mine") + head.count(b"again"), head.count(b"kept"), head.count(b"ours")


ALL = (len(KEYS) + 2, len(OTHERS), 0)
NONE = (0, len(OTHERS), 0)


def fleet(a: Scripted, b: Scripted, said: Any = None, own: Any = None, **route: Any) -> Fleet:
    upstreams: dict[str, Any] = {s.name: {"endpoints": [{"url": s.url}]} for s in (a, b)}
    upstreams["a"]["credentials"], upstreams["b"]["credentials"] = own, said
    routes = [{"name": "r", "upstream": "a", **route}]
    return Fleet(a, b, upstreams=upstreams, routes=routes, policy={"retry": {"max": 1}})


SAID = pytest.mark.parametrize(
    ("said", "expected"),
    [(None, NONE), ("drop", NONE), ("forward", ALL), (OURS, (0, len(OTHERS), 1))],
)


@SAID
async def test_a_fallback(said: Any, expected: tuple[int, int, int]) -> None:
    a, b = Scripted("a", always=status(500)), Scripted("b")
    async with fleet(a, b, said, fallback=[{"upstream": "b"}]) as stage:
        assert (await stage.gets(call()))[1] == b"b"
        assert [shown(request) for request in a.requests] == [ALL, ALL]
        assert shown(b.requests[0]) == expected
        query = QUERY if said == "forward" else b"?alt=sse"
        assert b.requests[0].startswith(b"POST /v1/chat/completions" + query + b" HTTP/1.1\r\n")


@SAID
async def test_a_split(said: Any, expected: tuple[int, int, int]) -> None:
    a, b = Scripted("a"), Scripted("b")
    split = [{"upstream": "b", "share": "99.999%"}]
    async with fleet(a, b, said, split=split) as stage:
        assert (await stage.gets(call()))[1] == b"b"
        assert shown(b.requests[0]) == expected


@SAID
async def test_a_mirror(said: Any, expected: tuple[int, int, int]) -> None:
    a, b = Scripted("a"), Scripted("b")
    async with fleet(a, b, said, mirror={"upstream": "b"}) as stage:
        assert (await stage.gets(call()))[1] == b"a"
        await until(lambda: b.calls)
        assert shown(a.requests[0]) == ALL
        assert shown(b.requests[0]) == expected


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (None, ALL),
        ("forward", ALL),
        ("drop", NONE),
        # A header replaces the one of its name, repeated ones too, and no other.
        (OURS, (len(KEYS), len(OTHERS), 1)),
    ],
)
async def test_the_routes_own_upstream(own: Any, expected: tuple[int, int, int]) -> None:
    a, b = Scripted("a"), Scripted("b")
    async with fleet(a, b, own=own) as stage:
        assert (await stage.gets(call()))[1] == b"a"
        assert shown(a.requests[0]) == expected


async def test_back_at_the_routes_own_upstream_they_are_shown_again() -> None:
    a, b = Scripted("a"), Scripted("b", always=status(500))
    split = [{"upstream": "b", "share": "99.999%"}]
    async with fleet(a, b, split=split, fallback=[{"upstream": "a"}]) as stage:
        assert (await stage.gets(call()))[1] == b"a"
        assert (shown(b.requests[0]), shown(a.requests[0])) == (NONE, ALL)


async def test_another_model_of_the_same_upstream_is_shown_them() -> None:
    a, b = Scripted("a", status(500), status(500)), Scripted("b")
    async with fleet(a, b, fallback=[{"upstream": "a", "model": "small"}]) as stage:
        assert (await stage.gets(call()))[1] == b"a"
        assert shown(a.requests[-1]) == ALL


async def test_keys_among_the_protocols_of_a_websocket() -> None:
    a, b = Scripted("a", always=status(500)), Scripted("b")
    handshake = (
        b"GET /v1/realtime?model=m&key=mine HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: kept\r\n"
        b"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.mine, x-kept\r\n\r\n"
    )
    async with fleet(a, b, fallback=[{"upstream": "b"}]) as stage:
        assert (await stage.gets(handshake))[1] == b"b"
        assert shown(a.requests[0]) == (2, 2, 0)
        assert shown(b.requests[0]) == (0, 2, 0)
        assert b"\r\nSec-WebSocket-Protocol: realtime, x-kept\r\n" in b.requests[0] + b"\r\n"
        assert b.requests[0].startswith(b"GET /v1/realtime?model=m HTTP/1.1\r\n")


@pytest.mark.parametrize("hold", ["1MiB", "0B"])
async def test_a_trailer_says_nothing_that_a_credential_of_ours_says(hold: str) -> None:
    ours = {"credentials": {"header": "x-corp", "value": "ours"}}
    async with Stage(upstream=ours, policy={"hold": hold}) as stage:
        client = await stage.client()
        await client.sends(CHUNKED + b"2\r\nhi\r\n")
        end = b"0\r\nX-Corp: mine\r\nCookie: mine\r\nX-Sum: kept\r\n\r\n"
        if hold != "0B":
            await client.sends(end)
        server = await stage.accepts()
        await server.head()
        if hold == "0B":  # it streams
            await client.sends(end)
        await server.gets(b"2\r\nhi\r\n0\r\nX-Sum: kept\r\n\r\n")
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"
