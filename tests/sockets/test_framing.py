"""How a message is framed, on its way through, in both directions."""

import pytest

from tests.sockets.peers import CHUNKED, CHUNKED_OK, GET, OK, POST, chunk, ok
from tests.sockets.stage import Stage

OLD_GET = b"GET /v1/models HTTP/1.0\r\nHost: a\r\n\r\n"
OLD_KEEP = b"GET /v1/models HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
HEAD = b"HEAD /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_content_length_both_ways() -> None:
    async with Stage() as stage:
        client, server = await stage.call(POST)
        await server.gets(b"hi")
        await server.sends(OK)
        reply = await client.reply()
        assert (reply.body, reply["content-length"], reply["connection"]) == (b"ok", "2", "")


async def test_a_chunked_request_with_trailers() -> None:
    async with Stage() as stage:
        client, server = await stage.call(CHUNKED + b"2\r\nhi\r\n3\r\nyou\r\n0\r\nX-Sum: 5\r\n\r\n")
        await server.gets(b"5\r\nhiyou\r\n0\r\nX-Sum: 5\r\n\r\n")
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"


async def test_a_chunked_reply_with_trailers() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(CHUNKED_OK + chunk(b"one"))
        assert b"Transfer-Encoding: chunked" in await client.head()
        await client.gets(chunk(b"one"))
        await server.sends(chunk(b"two") + b"0\r\nX-Sum: 6\r\n\r\n")
        await client.gets(chunk(b"two") + b"0\r\nX-Sum: 6\r\n\r\n")


async def test_a_chunk_does_not_wait_for_the_next() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(CHUNKED_OK)
        await client.head()
        for number in range(20):
            await server.sends(chunk(b"%d" % number))
            await client.gets(chunk(b"%d" % number))
        await server.sends(b"0\r\n\r\n")
        await client.gets(b"0\r\n\r\n")


@pytest.mark.parametrize("framing", [b"Content-Length: 1000", b"Transfer-Encoding: chunked"])
async def test_a_reply_to_head_has_no_body(framing: bytes) -> None:
    async with Stage() as stage:
        client, server = await stage.call(HEAD)
        await server.sends(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
        assert (b"Content-Length: 1000" in await client.head()) == (b"Length" in framing)
        await client.sends(GET)  # on both connections the next message follows the head at once
        assert b"GET" in await server.head()
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_replies_that_never_have_a_body(status: bytes) -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(b"HTTP/1.1 %b\r\nETag: x\r\n\r\n" % status)
        head = await client.head()
        assert b"ETag: x" in head
        assert b"Transfer-Encoding" not in head
        await client.sends(GET)
        await server.head()
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"


async def test_304_may_tell_the_length_of_what_it_leaves_out() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n")
        assert b"Content-Length: 7" in await client.head()
        await client.sends(GET)
        await server.head()
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"


async def test_early_hints_are_handed_on_and_continue_is_not() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(b"HTTP/1.1 100 Continue\r\n\r\n")
        await server.sends(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await client.gets(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await server.sends(OK)
        assert (await client.reply()).interim == []


async def test_a_caller_of_http_1_0_gets_no_interim_reply() -> None:
    async with Stage() as stage:
        client, server = await stage.call(OLD_GET)
        await server.sends(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)
        assert (await client.rest()).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_we_tell_a_caller_who_waits_to_continue() -> None:
    async with Stage() as stage:
        client = await stage.client()
        await client.sends(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        await client.gets(b"HTTP/1.1 100 Continue\r\n\r\n")
        await client.sends(b"hi")
        server = await stage.accepts()
        assert b"Expect" not in await server.head()
        await server.gets(b"hi")
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"


async def test_a_caller_who_expects_and_sends_at_once_is_served() -> None:
    async with Stage() as stage:
        client, server = await stage.call(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"
        )
        await server.gets(b"hi")
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"


async def test_a_reply_until_close_is_chunked_for_http_1_1() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(b"HTTP/1.1 200 OK\r\n\r\nsome")
        assert b"Transfer-Encoding: chunked" in await client.head()
        await client.gets(chunk(b"some"))
        await server.sends(b"more")
        await client.gets(chunk(b"more"))
        server.closes()
        await client.gets(b"0\r\n\r\n")
        await stage.answered(client)  # the caller's connection goes on


async def test_a_reply_until_close_stays_one_for_http_1_0() -> None:
    async with Stage() as stage:
        client, server = await stage.call(OLD_KEEP)
        await server.sends(b"HTTP/1.1 200 OK\r\n\r\nsome")
        head = await client.head()
        assert b"Connection: close" in head
        assert b"Transfer-Encoding" not in head
        await client.gets(b"some")
        server.closes()
        await client.ends()


async def test_a_chunked_reply_is_unwrapped_for_http_1_0() -> None:
    async with Stage() as stage:
        client, server = await stage.call(OLD_KEEP)
        await server.sends(CHUNKED_OK + chunk(b"one") + chunk(b"two") + b"0\r\n\r\n")
        assert b"Transfer-Encoding" not in await client.head()
        assert await client.rest() == b"onetwo"


async def test_http_1_0_keeps_its_connection_only_if_it_asks() -> None:
    async with Stage() as stage:
        client, server = await stage.call(OLD_KEEP)
        await server.sends(OK)
        assert (await client.reply())["connection"] == "keep-alive"
        await client.sends(OLD_GET)
        await server.head()
        await server.sends(OK)
        assert (await client.rest()).endswith(b"\r\n\r\nok")


async def test_an_upstream_of_http_1_0_serves_one_call_a_connection() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert (await client.reply()).body == b"ok"
        await server.ends()
        await stage.answered(client)


async def test_an_upstream_that_says_close_is_not_used_again() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(ok(b"ok", b"Connection: close"))
        assert (await client.reply())["connection"] == ""
        await server.ends()
        await stage.answered(client)


async def test_several_calls_on_one_connection_each_side() -> None:
    async with Stage() as stage:
        client = await stage.client()
        server = await stage.answered(client)
        for number in range(5):
            body = b"%d" % number
            await client.sends(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n" + body)
            await server.head()
            await server.gets(body)
            await server.sends(ok(body))
            assert (await client.reply()).body == body


async def test_pipelined_calls_are_answered_in_order() -> None:
    async with Stage() as stage:
        client = await stage.client()
        await client.sends(GET + POST + GET)
        server = await stage.accepts()
        await server.head()
        await server.sends(ok(b"first"))  # only then the second is sent
        assert b"POST" in await server.head()
        await server.gets(b"hi")
        await server.sends(CHUNKED_OK + chunk(b"second") + b"0\r\n\r\n")
        await server.head()
        await server.sends(ok(b"third"))
        bodies = [(await client.reply()).body for _ in range(3)]
        assert bodies == [b"first", b"second", b"third"]


async def test_what_is_wrong_behind_a_request_is_told_after_its_reply() -> None:
    async with Stage() as stage:
        client, server = await stage.call(GET + b"GET / HTTP/1.1\r\n\r\n" + GET)
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"
        assert (await client.reply()).status == 400
        await client.ends()
        assert stage.endpoint.attempts == {200: 1}


async def test_a_caller_that_says_close_is_closed_after_its_reply() -> None:
    async with Stage() as stage:
        client, server = await stage.call(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET
        )
        await server.sends(OK)
        reply = await client.reply()
        assert (reply.body, reply["connection"]) == (b"ok", "close")
        await client.ends()  # what it sent behind `close` is not served
        assert stage.endpoint.attempts == {200: 1}


async def test_an_early_reply_ends_the_upload() -> None:
    async with Stage(policy={"hold": "1KiB"}) as stage:
        client, server = await stage.call(CHUNKED + chunk(b"x" * 2000))
        await server.sends(ok(b"no"))
        reply = await client.reply()
        assert (reply.body, reply["connection"]) == (b"no", "close")
        await client.ends()
        await server.is_cut()


async def test_a_reply_in_many_small_pieces() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        for byte in CHUNKED_OK + chunk(b"slow") + b"0\r\n\r\n":
            await server.sends(bytes([byte]))
        assert (await client.reply()).body == b"slow"


async def test_a_request_in_many_small_pieces() -> None:
    async with Stage() as stage:
        client = await stage.client()
        for byte in POST:
            await client.sends(bytes([byte]))
        server = await stage.accepts()
        await server.head()
        await server.gets(b"hi")
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"
