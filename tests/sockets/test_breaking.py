"""The server breaks: before its head an error of ours comes, behind it no clean end.

`breaks` closes or resets the server's end. `Stage` checks at its end that nothing is held.
"""

import json
from collections.abc import Callable

import pytest

from tests.sockets.peers import (
    CHUNKED,
    CHUNKED_OK,
    EVENTS,
    GET,
    OK,
    Peer,
    chunk,
    ok,
    post,
    until,
)
from tests.sockets.stage import Stage, fails

Break = Callable[[Peer], None]
breaking = pytest.mark.parametrize("breaks", [Peer.closes, Peer.resets])
CAN_STREAM = {"hold": "1KiB"}
OLD_GET = b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"


# -- before the head --


async def test_nobody_listens() -> None:
    async with Stage() as stage:
        stage.server.closes()
        client = await stage.client()
        await client.sends(GET)
        await fails(stage, client, 502, "connect_failed")
        await client.sends(GET)
        assert (await client.reply()).status == 502


@breaking
async def test_before_its_head(breaks: Break) -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        breaks(server)
        await fails(stage, client, 502, "upstream_reset")
        await stage.answered(client)


@breaking
async def test_within_its_head(breaks: Break) -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(b"HTTP/1.1 200 OK\r\nContent-Le")
        breaks(server)
        reply = await client.reply()
        assert (reply.status, bool(reply.code)) == (502, True)
        await stage.answered(client)


@breaking
async def test_behind_an_interim_reply(breaks: Break) -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await client.head()
        breaks(server)
        assert (await client.reply()).status == 502


@breaking
async def test_while_a_body_streams_to_it(breaks: Break) -> None:
    async with Stage(policy=CAN_STREAM) as stage:
        client, server = await stage.call(post(2**21) + bytes(2000))
        breaks(server)
        uploading = stage.begins(client.sends(bytes(2**21 - 2000)))
        reply = await client.reply()  # whole, though much is still on its way to us
        assert (reply.status, reply.code) == (502, "upstream_reset")
        assert reply["connection"] == "close"
        await client.ends()
        await uploading


async def test_a_hasty_answer_to_a_body_that_streams() -> None:
    async with Stage(policy=CAN_STREAM) as stage:
        client, server = await stage.call(CHUNKED + chunk(bytes(2000)))
        await server.sends(ok(b"too large").replace(b"200 OK", b"413 Too Large"))
        server.closes()
        reply = await client.reply()
        assert (reply.status, reply.body) == (413, b"too large")
        await client.ends()


async def test_a_hasty_answer_to_a_body_that_is_not_read() -> None:
    """Its kernel sends a reset, since it closes with input unread."""
    async with Stage(policy=CAN_STREAM) as stage:
        client, server = await stage.call(post(2**30) + bytes(2000))
        await client.floods()  # to the end: a write into the reset would hide the answer
        await server.sends(ok(b"too large").replace(b"200 OK", b"413 Too Large"))
        server.closes()
        reply = await client.reply()
        assert (reply.status, reply.body) == (413, b"too large")
        await client.ends()


# -- within the body --


@breaking
async def test_within_a_body_of_known_length(breaks: Break) -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        await client.head()
        await server.sends(b"some")
        await client.gets(b"some")
        breaks(server)
        await client.ends()  # five bytes short
        assert stage.route.errors == {"upstream_truncated": 1}


@breaking
async def test_within_a_chunked_body(breaks: Break) -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(CHUNKED_OK + chunk(b"some"))
        await client.head()
        await client.gets(b"4\r\nsome\r\n")
        breaks(server)
        await client.ends()  # without a last chunk
        assert stage.route.errors == {"upstream_truncated": 1}


@breaking
async def test_between_two_events(breaks: Break) -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(EVENTS + chunk(b"data: 1\n\n"))
        await client.until(b"\n\n\r\n")
        breaks(server)
        size, event, _ = (await client.rest()).split(b"\r\n")
        assert len(event) == int(size, 16)
        assert event.startswith(b"data: {")
        error = json.loads(event[6:])["error"]
        assert error["code"] == "upstream_truncated"


@breaking
async def test_between_two_events_of_anthropic(breaks: Break) -> None:
    async with Stage(upstream={"dialect": "anthropic"}) as stage:
        client, server = await stage.call()
        await server.sends(EVENTS + chunk(b"event: ping\ndata: {}\n\n"))
        await client.until(b"\n\n\r\n")
        breaks(server)
        event = (await client.rest()).split(b"\r\n")[1]
        assert event.startswith(b'event: error\ndata: {"type":"error","error":{"type":"api_error"')


@breaking
@pytest.mark.parametrize("dialect", ["mistral", "cohere"])
async def test_between_two_events_of_an_api_without_error_events(
    breaks: Break, dialect: str
) -> None:
    """Its SDKs take one of another API for a broken event; what they raise for is the end."""
    async with Stage(upstream={"dialect": dialect}) as stage:
        client, server = await stage.call()
        await server.sends(EVENTS + chunk(b"data: {}\n\n"))
        await client.until(b"data: {}\n\n\r\n")
        breaks(server)
        assert await client.rest() == b""  # not even the last chunk


@breaking
async def test_within_an_event(breaks: Break) -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(EVENTS + chunk(b"data: 1\n\ndata: {"))
        await client.until(b"data: {\r\n")
        breaks(server)
        assert b"0\r\n\r\n" not in await client.rest()


@breaking
async def test_between_two_events_that_are_compressed(breaks: Break) -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        packed = EVENTS.replace(b"\r\nTransfer", b"\r\nContent-Encoding: gzip\r\nTransfer")
        await server.sends(packed + chunk(b"packed\n\n"))
        await client.until(b"\n\n\r\n")
        breaks(server)
        assert await client.rest() == b""  # an event of ours would be noise in it


async def test_a_body_until_close_that_is_reset() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(b"HTTP/1.1 200 OK\r\n\r\nsome")
        await client.until(chunk(b"some"))
        server.resets()
        await client.ends()  # without a last chunk


@breaking
async def test_a_chunked_body_for_a_caller_of_http_1_0(breaks: Break) -> None:
    async with Stage() as stage:
        client, server = await stage.call(OLD_GET)
        await server.sends(CHUNKED_OK + chunk(b"some"))
        await client.until(b"some")
        breaks(server)
        await client.is_reset()  # an orderly end would be the body's end


async def test_a_body_until_close_that_is_reset_for_a_caller_of_http_1_0() -> None:
    async with Stage() as stage:
        client, server = await stage.call(OLD_GET)
        await server.sends(b"HTTP/1.1 200 OK\r\n\r\nsome")
        await client.until(b"some")
        server.resets()
        await client.is_reset()


@breaking
async def test_all_that_came_before_is_delivered(breaks: Break) -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        size = 10**6
        await server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + bytes(size))
        if breaks is Peer.resets:  # a reset may overtake what is on its way to us
            await client.head()
            await client.drains(size)
        breaks(server)
        came = await client.rest()
        assert breaks is Peer.resets or came.endswith(bytes(size))


# -- at rest --


@breaking
async def test_between_calls(breaks: Break) -> None:
    async with Stage() as stage:
        client = await stage.client()
        server = await stage.answered(client)
        breaks(server)
        await until(lambda: stage.endpoint.open == 0)
        await stage.answered(client)
        assert stage.endpoint.replays == 0


async def test_bytes_that_nobody_asked_for_are_no_reply() -> None:
    async with Stage() as stage:
        client = await stage.client()
        server = await stage.answered(client)
        await server.sends(ok(b"poison"))
        await server.is_cut()
        await stage.answered(client)


async def test_bytes_behind_a_reply_are_no_reply() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(OK + ok(b"poison"))
        assert (await client.reply()).body == b"ok"
        await server.is_cut()
        await stage.answered(client)


# -- garbage --


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX y: 1\r\n\r\n",
        b"HTTP/1.1 99 Odd\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
    ],
)
async def test_garbage_for_a_head(garbage: bytes) -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(garbage)
        await fails(stage, client, 502, "bad_reply")
        await server.is_cut()
        await stage.answered(client)


async def test_a_head_without_end() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(b"HTTP/1.1 200 OK\r\nX: ")
        flood = stage.begins(server.talks(lambda: bytes(2**16)))
        assert (await client.reply()).code == "bad_reply"
        await flood


async def test_interim_replies_without_end() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

        flood = stage.begins(server.talks(lambda: hints * 1000))
        assert (await client.reply()).code == "bad_reply"
        await flood


async def test_garbage_for_a_chunk() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(CHUNKED_OK + chunk(b"some"))
        await client.until(chunk(b"some"))
        await server.sends(b"zz\r\n")
        await client.ends()
        await server.is_cut()
        assert stage.route.errors == {"bad_reply": 1}


async def test_garbage_right_behind_a_head() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(CHUNKED_OK + chunk(b"some") + b"zz\r\n")
        await fails(stage, client, 502, "bad_reply")  # nothing was sent yet
