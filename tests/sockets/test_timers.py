"""The server is silent, or a call takes too long: which of the four timers says so, and when."""

import asyncio

import pytest

from tests.sockets.peers import (
    CHUNKED,
    CHUNKED_OK,
    EVENTS,
    GET,
    OK,
    Server,
    chunk,
    post,
    until,
)
from tests.sockets.scripted import chat
from tests.sockets.stage import Stage, fails

CAN_STREAM = {"hold": "1KiB"}
OLD_GET = b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"


async def test_no_place_in_the_pool() -> None:
    timeouts = {"connect": "20ms", "first_byte": "100ms"}
    async with Stage(pool={"max_open": 1}, timeouts=timeouts) as stage:
        first, server = await stage.call()
        await server.sends(CHUNKED_OK + chunk(b"a"))
        await first.until(b"a")
        second = await stage.client()
        await second.sends(GET)
        reply = await second.reply()
        assert (reply.status, reply.code) == (503, "pool_timeout")
        await server.sends(b"0\r\n\r\n")
        await first.until(b"0\r\n\r\n")


async def test_waiting_for_a_place_is_no_connecting() -> None:
    async with Stage(pool={"max_open": 1}, timeouts={"connect": "20ms"}) as stage:
        first, server = await stage.call()
        second = await stage.client()
        await second.sends(GET)
        await until(lambda: stage.endpoint.waiting == 1)
        await asyncio.sleep(0.05)  # longer than it may take to connect
        await server.sends(OK)
        assert (await first.reply()).body == b"ok"
        await server.head()
        await server.sends(OK)
        assert (await second.reply()).body == b"ok"


async def test_the_calls_end_while_it_waits_for_a_place() -> None:
    policy = {"breaker": {"min_calls": 1}}
    timeouts = {"total": "50ms"}
    async with Stage(pool={"max_open": 1}, timeouts=timeouts, policy=policy) as stage:
        first, _ = await stage.call()
        second = await stage.client()
        await second.sends(GET)
        assert (await second.reply()).code == "total_timeout"
        assert (await first.reply()).code == "total_timeout"
        assert not stage.endpoint.transitions  # how patient a caller is says nothing about it


async def test_no_place_in_the_line() -> None:
    async with Stage(pool={"max_open": 1, "max_waiting": 0}) as stage:
        _, server = await stage.call()
        second = await stage.client()
        await second.sends(GET)
        reply = await second.reply()
        assert (reply.status, reply.code) == (503, "pool_overflow")
        server.closes()


async def test_no_connection() -> None:
    async with Stage(servers=[Server(backlog=0)], timeouts={"connect": "50ms"}) as stage:
        await stage.server.fills()
        client = await stage.client()
        await client.sends(GET)
        await fails(stage, client, 504, "connect_timeout")
        assert stage.endpoint.open == 0


async def test_no_head() -> None:
    async with Stage(timeouts={"first_byte": "50ms"}) as stage:
        client, server = await stage.call()
        await fails(stage, client, 504, "first_byte_timeout")
        await server.is_cut()
        await stage.answered(client)


async def test_half_a_head() -> None:
    async with Stage(timeouts={"first_byte": "50ms"}) as stage:
        client, server = await stage.call()
        await server.sends(b"HTTP/1.1 200 OK\r\nConte")
        await fails(stage, client, 504, "first_byte_timeout")
        await server.is_cut()


async def test_a_server_that_takes_no_body() -> None:
    async with Stage(policy=CAN_STREAM, timeouts={"idle": "100ms"}) as stage:
        client, server = await stage.call(post(2**30) + bytes(2000))
        sending = stage.begins(client.floods())
        await fails(stage, client, 504, "idle_timeout")
        await client.ends()
        await server.is_cut()
        await sending


async def test_silence_within_a_body_of_known_length() -> None:
    async with Stage(timeouts={"idle": "50ms"}) as stage:
        client, server = await stage.call()
        await server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome")
        await client.until(b"some")
        await client.ends()
        await server.is_cut()
        assert stage.route.errors == {"idle_timeout": 1}


async def test_silence_behind_a_head_is_that_before_the_first_byte() -> None:
    async with Stage(timeouts={"idle": "20ms", "first_byte": "300ms"}) as stage:
        client, server = await stage.call()
        await server.sends(CHUNKED_OK)
        await client.head()
        await asyncio.sleep(0.1)
        await server.sends(chunk(b"some"))  # from here on, `idle` holds
        await client.until(b"some\r\n")
        await client.ends()
        await server.is_cut()
        assert stage.route.errors == {"idle_timeout": 1}


async def test_a_body_that_never_begins() -> None:
    async with Stage(timeouts={"idle": "20ms", "first_byte": "100ms"}) as stage:
        client, server = await stage.call()
        await server.sends(CHUNKED_OK)
        await client.head()
        await client.ends()
        await server.is_cut()
        assert stage.route.errors == {"first_byte_timeout": 1}


async def test_silence_within_a_stream() -> None:
    async with Stage(timeouts={"idle": "50ms"}) as stage:
        client, server = await stage.call()
        await server.sends(EVENTS + chunk(b"data: 1\n\n"))
        await client.until(b"\n\n\r\n")
        assert b'"code":"idle_timeout"' in await client.rest()
        await server.is_cut()


async def test_drops_that_come_in_time_are_not_silence() -> None:
    async with Stage(timeouts={"idle": "400ms"}) as stage:
        client, server = await stage.call()
        await server.sends(CHUNKED_OK)
        for _ in range(6):
            await asyncio.sleep(0.1)  # all of it is longer than the idle time
            await server.sends(chunk(b"."))
        await server.sends(b"0\r\n\r\n")
        assert (await client.reply()).body == b"......"


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nConte"])
async def test_the_total_time_ends_before_the_head(sent: bytes) -> None:
    async with Stage(timeouts={"total": "50ms"}) as stage:
        client, server = await stage.call()
        await server.sends(sent)
        await fails(stage, client, 504, "total_timeout")
        await server.is_cut()


async def test_the_total_time_ends_in_the_line() -> None:
    async with Stage(pool={"max_open": 1}, timeouts={"total": "100ms"}) as stage:
        first, server = await stage.call(OLD_GET)
        await server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        await first.head()
        second = await stage.client()
        await second.sends(GET)
        await first.ends()
        assert (await second.reply()).code == "total_timeout"


async def test_the_total_time_ends_while_connecting() -> None:
    async with Stage(servers=[Server(backlog=0)], timeouts={"total": "50ms"}) as stage:
        await stage.server.fills()
        client = await stage.client()
        await client.sends(GET)
        await fails(stage, client, 504, "total_timeout")


async def test_the_total_time_ends_within_an_upload() -> None:
    async with Stage(policy=CAN_STREAM, timeouts={"total": "100ms"}) as stage:
        client, server = await stage.call(CHUNKED + chunk(bytes(2000)))
        reply = await client.reply()
        assert (reply.status, reply.code) == (504, "total_timeout")
        await server.is_cut()


async def test_the_total_time_ends_while_the_body_is_held() -> None:
    async with Stage(timeouts={"total": "100ms"}) as stage:
        client = await stage.client()
        await client.sends(post(100) + bytes(50))
        reply = await client.reply()
        assert (reply.status, reply.code) == (504, "total_timeout")


async def test_the_total_time_ends_within_a_lively_stream() -> None:
    async with Stage(timeouts={"total": "100ms"}) as stage:
        client, server = await stage.call()

        await server.sends(EVENTS)
        talking = stage.begins(server.talks(lambda: chunk(b"data: 1\n\n"), pace=0.01))
        stream = await client.rest()
        assert stream.endswith(b"\n\n\r\n")
        assert b'"code":"total_timeout"' in stream
        await talking


async def test_a_call_in_time_outlives_no_timer() -> None:
    timeouts = {"connect": "100ms", "first_byte": "100ms", "idle": "100ms", "total": "100ms"}
    async with Stage(timeouts=timeouts) as stage:
        client = await stage.client()
        server = await stage.answered(client)
        await asyncio.sleep(0.15)
        await client.sends(GET)
        await server.head()
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"


async def test_a_server_that_takes_a_body_slowly_is_not_given_up() -> None:
    size = 2**24
    async with Stage(
        policy=CAN_STREAM, timeouts={"idle": "150ms"}, servers=[Server(window=2**14)]
    ) as stage:
        client, server = await stage.call(post(size + 2000) + bytes(2000))
        sending = stage.begins(client.sends(bytes(size)))
        await server.drains(60 * 2**14, pace=0.01, step=2**14)
        await server.drains(size + 2000 - 60 * 2**14)
        await sending
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"


async def test_each_call_on_a_connection_has_a_time_of_its_own() -> None:
    """The timer of the call before may still be armed."""
    usual, hasty = GET, GET[:-2] + b"x-sidecar-first-byte-timeout: 50ms\r\n\r\n"
    async with Stage(listener={"trust": {"headers": True}}) as stage:
        client = await stage.client()
        server = await stage.answered(client, hasty)
        for wait in (0.0, 0.1):  # the second lets the first call's time go by
            await client.sends(usual)
            await server.head()
            await asyncio.sleep(wait)
            await server.sends(OK)
            assert (await client.reply()).body == b"ok"
        await client.sends(hasty)
        await server.head()
        await fails(stage, client, 504, "first_byte_timeout")


SDK = b"x-stainless-read-timeout: 0.2"


@pytest.mark.parametrize(
    ("stream", "code"), [(False, "total_timeout"), (True, "first_byte_timeout")]
)
async def test_the_patience_of_an_sdk_may_bound_its_call(stream: bool, code: str) -> None:
    async with Stage(timeouts={"sdk": True}) as stage:
        client, _ = await stage.call(chat("m", SDK, stream=stream))
        reply = await client.reply()
        assert (reply.status, reply.code) == (504, code)


@pytest.mark.parametrize("timeouts", [{}, {"sdk": True}])
async def test_a_stream_may_last_longer_than_the_patience_of_its_sdk(
    timeouts: dict[str, bool],
) -> None:
    async with Stage(timeouts=timeouts) as stage:
        client, server = await stage.call(chat("m", SDK, stream=True))
        await server.sends(EVENTS + chunk(b"data: 1\n\n"))
        await asyncio.sleep(0.3)
        await server.sends(chunk(b"data: 2\n\n") + b"0\r\n\r\n")
        assert (await client.reply()).body == b"data: 1\n\ndata: 2\n\n"
