"""How much of a reply must be here before it goes downstream: until then it can be tried again."""

from __future__ import annotations

import asyncio

import pytest

from tests.sockets.peers import CHUNKED_OK, EVENTS, GET, chunk, post, until
from tests.sockets.scripted import Act, Cut, Fleet, Scripted, chat, status
from tests.sockets.stage import Stage

JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
STREAM = chat(stream=True)


@pytest.mark.parametrize(
    ("act", "request_"),
    [
        (Cut(JSON % 9 + b'{"so'), chat()),
        (Cut(JSON % 9), chat()),
        (Cut(EVENTS), STREAM),
        (JSON % 9 + b'{"so', chat()),  # and then nothing
        (EVENTS, STREAM),
    ],
)
async def test_what_breaks_off_sooner_is_tried_again(act: Act, request_: bytes) -> None:
    one = Scripted("one", act)
    timeouts = {"first_byte": "200ms", "idle": "200ms"}
    policy = {"retry": {"max": 1, "on": ["timeout", "bad_reply"]}}
    async with Fleet(one, timeouts=timeouts, policy=policy) as fleet:
        one.acts.append(status(200, b"Content-Type: application/json", body=b'"whole"'))
        assert (await fleet.gets(request_))[:2] == (200, b'"whole"')
        assert one.calls == 2
        endpoint = fleet.endpoints[0]
        window = endpoint.breakers["default"].window
        assert (len(window), window.failures) == (2, 1)


async def test_without_retries_a_broken_one_is_an_error() -> None:
    one = Scripted("one", Cut(JSON % 9 + b'{"so'))
    async with Fleet(one, policy={"retry": {"max": 0}}) as fleet:
        assert (await fleet.gets(chat()))[2].code == "upstream_truncated"


@pytest.mark.parametrize("code", [200, 201])
async def test_one_in_one_piece_comes_in_one_piece(code: int) -> None:
    async with Stage() as stage:
        client, server = await stage.call(chat())
        await server.sends(JSON.replace(b"200", b"%d" % code) % 7)
        for piece in (b'{"a"', b":1"):
            assert await client.silent(0.03)
            await server.sends(piece)
        assert await client.silent(0.03)
        await server.sends(b"}")
        reply = await client.reply()
        assert (reply.status, reply.body) == (code, b'{"a":1}')
        await stage.answered_again(client, server)


@pytest.mark.parametrize(
    ("act", "begins"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"\r\n\r\n"),  # no JSON
        (JSON % (256 * 1024 + 1), b"\r\n\r\n"),  # too large
        (JSON.replace(b"200 OK", b"302 X") % 9, b"\r\n\r\n"),
        (CHUNKED_OK, b"\r\n\r\n"),
    ],
)
async def test_others_come_as_they_do(act: bytes, begins: bytes) -> None:
    async with Stage() as stage:
        client, server = await stage.call(chat())
        await server.sends(act)
        await client.until(begins)
        client.closes()


async def test_a_subscription_is_seen_to_be_open_before_its_first_event() -> None:
    """Who makes the event happen may wait for that."""
    for request in (GET, chat()):
        async with Stage() as stage:
            client, server = await stage.call(request)
            await server.sends(EVENTS)
            await client.head()
            await server.sends(chunk(b"data: 1\n\n"))
            await client.until(b"data: 1\n\n")


async def test_the_head_of_a_stream_waits_for_its_first_bytes() -> None:
    async with Stage() as stage:
        client, server = await stage.call(STREAM)
        await server.sends(EVENTS)
        assert await client.silent(0.05)
        await server.sends(chunk(b": ping\n\n"))
        assert b"200 OK" in await client.until(b": ping\n\n")
        for number in range(3):
            await server.sends(chunk(b"data: %d\n\n" % number))
            await client.until(b"data: %d\n\n" % number)
        await server.sends(b"0\r\n\r\n")
        await client.until(b"0\r\n\r\n")
        await stage.is_at_rest()


async def test_a_gemini_stream_says_so_in_its_path() -> None:
    request = chat().replace(b"/v1/chat/completions", b"/v1beta/models/m:streamGenerateContent")
    async with Stage() as stage:
        client, server = await stage.call(request)
        await server.sends(EVENTS)
        assert await client.silent(0.05)
        await server.sends(chunk(b"data: {}\n\n") + b"0\r\n\r\n")
        assert (await client.reply()).body == b"data: {}\n\n"


async def test_a_stream_that_is_empty_ends() -> None:
    async with Stage() as stage:
        client, server = await stage.call(STREAM)
        await server.sends(EVENTS)
        await server.sends(b"0\r\n\r\n")
        assert (await client.reply()).body == b""
        window = stage.endpoints[0].breakers["default"].window
        assert (len(window), window.failures) == (1, 0)


async def test_a_body_that_streams_up_has_nothing_to_wait_for() -> None:
    """It can't be sent again."""
    async with Stage(policy={"hold": "1KiB"}) as stage:
        client = await stage.client()
        await client.sends(post(5000) + bytes(2000))
        server = await stage.accepts()
        await server.head()
        await server.sends(JSON % 9)
        await client.head()


async def test_a_head_wins_no_race_against_a_token() -> None:
    slow, quick = Scripted("slow", always=EVENTS), Scripted("quick")
    quick.always = EVENTS + chunk(b"data: 1\n\n") + b"0\r\n\r\n"
    async with Fleet(slow, quick, policy={"hedge": {"after": "20ms"}}) as fleet:
        for _ in range(4):
            assert (await fleet.gets(STREAM))[:2] == (200, b"data: 1\n\n")
        assert slow.calls == fleet.route.hedges_won >= 1


async def test_the_latency_of_a_stream_is_that_of_its_first_bytes() -> None:
    async with Stage() as stage:
        client, server = await stage.call(STREAM)
        await server.sends(EVENTS)
        load = stage.endpoints[0].load
        await until(lambda: stage.endpoint.in_flight)
        await asyncio.sleep(0.05)
        assert load.latency == 0
        await server.sends(chunk(b"data: 1\n\n"))
        await client.until(b"data: 1\n\n")
        assert load.latency >= 0.05


async def test_a_caller_that_leaves_before_the_first_token_is_followed_at_once() -> None:
    async with Stage() as stage:
        client, server = await stage.call(STREAM)
        await server.sends(EVENTS)
        assert await client.silent(0.05)
        client.closes()
        await server.is_cut()
        await stage.is_at_rest()
