"""What is refused: the whole reply is delivered, then the connection ends; others go on."""

import asyncio
import json

import pytest

from tests.sockets.peers import CHUNKED, GET, OK, Peer, Reply, chunk, post
from tests.sockets.stage import Stage

BAD = b"GET / HTTP/1.1\r\n\r\n"
FLOOD = b"x" * 2**20
REFUSED = [
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n", 400),
    (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * 20_000), 414),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"x" * 20_000), 431),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
    (post(2**30), 413),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
    (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
]


async def refusal(stage: Stage, request: bytes) -> Reply:
    client = await stage.client()
    await client.sends(request)
    reply = await client.reply()
    assert reply["connection"] == "close"
    await client.ends()
    return reply


@pytest.mark.parametrize(("request_", "status"), REFUSED)
@pytest.mark.parametrize("more", [b"", FLOOD], ids=["alone", "flooding"])
async def test_refused(request_: bytes, status: int, more: bytes) -> None:
    async with Stage(listener={"limits": {"body": "2MiB"}}) as stage:
        reply = await refusal(stage, request_ + more)
        assert reply.status == status
        assert reply.code
        assert reply["x-request-id"]
        assert stage.listener().stats.refused == {status: 1}
        await stage.answered(await stage.client())  # a new connection works


HEADS = [
    b"HEAD / HTTP/1.1\r\nHost: a b\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\nA: \x01\r\n\r\n",
    b"HEAD x://a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nConnection: x\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
]


@pytest.mark.parametrize("request_", HEADS)
async def test_a_refused_head_gets_no_body(request_: bytes) -> None:
    async with Stage() as stage:
        client = await stage.client()
        await client.sends(request_)
        reply = await client.reply("HEAD")
        assert (reply.status, reply["connection"]) == (400, "close")
        assert int(reply["content-length"]) > 0
        await client.ends()


@pytest.mark.parametrize(("behind", "status"), [(b"\r\r", 400), (b"\0", 501), (b"BREW /", 501)])
async def test_what_follows_a_head_is_refused_with_a_body(behind: bytes, status: int) -> None:
    async with Stage() as stage:
        client = await stage.client()
        await client.sends(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + behind)
        server = await stage.accepts()
        await server.head()
        await server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        assert (await client.reply("HEAD")).status == 200
        reply = await client.reply()
        assert (reply.status, reply.code) == (status, "bad_request")
        assert reply.body
        await client.ends()


@pytest.mark.parametrize(
    ("line", "shape"),
    [
        (b"POST /v1/chat/completions HTTP/1.1\r\n", ("error", "type", "invalid_request_error")),
        (b"POST /v1/messages HTTP/1.1\r\n", ("error", "type", "request_too_large")),
        (
            b"POST /v1/files HTTP/1.1\r\nanthropic-version: 1\r\n",
            ("error", "type", "request_too_large"),
        ),
        (b"POST /v1beta/models/x:y HTTP/1.1\r\n", ("error", "status", "INVALID_ARGUMENT")),
        (b"POST /v1/x HTTP/1.1\r\nx-goog-api-key: k\r\n", ("error", "status", "INVALID_ARGUMENT")),
    ],
)
async def test_a_body_that_is_too_long_is_refused_in_the_callers_dialect(
    line: bytes, shape: tuple[str, str, str]
) -> None:
    async with Stage(listener={"limits": {"body": "2MiB"}}) as stage:
        reply = await refusal(stage, line + b"Host: a\r\nContent-Length: 3000000\r\n\r\n")
        assert (reply.status, reply.code) == (413, "body_too_large")
        outer, inner, value = shape
        assert json.loads(reply.body)[outer][inner] == value


async def test_a_body_over_its_limit_without_a_length() -> None:
    async with Stage(listener={"limits": {"body": "64KiB"}}) as stage:
        reply = await refusal(stage, CHUNKED + chunk(b"x" * 65_537) + FLOOD)
        assert reply.status == 413


async def test_a_body_over_its_limit_while_it_streams() -> None:
    limits = {"limits": {"body": "64KiB"}}
    async with Stage(listener=limits, policy={"hold": "1KiB"}) as stage:
        client, server = await stage.call(CHUNKED + chunk(b"x" * 2000))
        await client.sends(chunk(FLOOD))
        reply = await client.reply()
        assert reply.status == 413
        await client.ends()
        await server.is_cut()


async def test_a_bad_chunk_while_the_body_streams() -> None:
    async with Stage(policy={"hold": "1KiB"}) as stage:
        client, server = await stage.call(CHUNKED + chunk(b"x" * 2000))
        await client.sends(b"zz\r\n")
        reply = await client.reply()
        assert (reply.status, reply["connection"]) == (400, "close")
        await client.ends()
        await server.is_cut()


async def test_a_bad_chunk_behind_a_good_one() -> None:
    async with Stage() as stage:
        reply = await refusal(stage, CHUNKED + b"2\r\nhi\r\nzz\r\n")
        assert reply.status == 400
        assert not stage.endpoint.attempts


async def test_a_head_that_does_not_end() -> None:
    async with Stage(listener={"head_timeout": "50ms"}) as stage:
        reply = await refusal(stage, b"GET / HTTP/1.1\r\nHost: a\r\n")
        assert (reply.status, reply.code) == (408, "request_timeout")


async def test_a_body_that_stops_while_it_streams() -> None:
    async with Stage(policy={"hold": "1KiB"}, timeouts={"idle": "50ms"}) as stage:
        client, server = await stage.call(post(5000) + b"x" * 2000)
        reply = await client.reply()
        assert (reply.status, reply.code) == (408, "request_timeout")
        await client.ends()
        await server.is_cut()


async def test_good_calls_before_a_bad_one_are_answered() -> None:
    async with Stage() as stage:
        client = await stage.client()
        await client.sends(GET + GET + BAD)
        server = await stage.accepts()
        for _ in range(2):
            await server.head()
            await server.sends(OK)
        statuses = [(await client.reply()).status for _ in range(3)]
        assert statuses == [200, 200, 400]
        await client.ends()


async def test_a_call_with_a_bad_body_behind_a_good_call() -> None:
    async with Stage() as stage:
        client, server = await stage.call(GET + CHUNKED + b"zz\r\n")
        await server.sends(OK)
        assert [(await client.reply()).status for _ in range(2)] == [200, 400]
        await client.ends()
        assert stage.endpoint.attempts == {200: 1}


async def test_too_many_connections() -> None:
    async with Stage(listener={"max_connections": 2}) as stage:
        held = [await stage.client() for _ in range(2)]
        await asyncio.gather(*(_served(stage, client) for client in held[:1]))
        third = await stage.client()
        reply = await third.reply()
        assert (reply.status, reply.code) == (503, "too_many_connections")
        await third.ends()
        third.closes()
        await stage.is_at_rest()
        held[1].closes()


async def _served(stage: Stage, client: Peer) -> None:
    await stage.answered(client)


async def test_a_follow_up_on_a_connection_that_was_told_no() -> None:
    async with Stage(routes=[{"upstream": "u", "match": {"path": "/v1"}}]) as stage:
        client = await stage.client()
        await client.sends(b"POST /v2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
        reply = await client.reply()
        assert (reply.status, reply.code, reply["connection"]) == (404, "no_route", "")
        await stage.answered(client)


async def test_a_caller_that_never_reads_its_refusal_is_let_go() -> None:
    async with Stage() as stage:
        client = await stage.client()
        await client.sends(BAD)
        await stage.is_empty()  # though it never closes its side
        assert (await client.reply()).status == 400
