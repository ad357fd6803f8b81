"""Bodies of any size: they pass, at the pace of the slower side, and memory stays flat."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from resource import getpagesize

from tests.sockets.peers import CHUNKED, EVENTS, GET, OK, Peer, chunk, ok, post, until
from tests.sockets.stage import Stage

MIB = 2**20
BLOCK = bytes(range(256)) * 256


def resident() -> int:
    """Bytes of memory that this process (both ends and the sidecar) has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()


@asynccontextmanager
async def flat(growth: int) -> AsyncIterator[None]:
    """Memory grows by less than *growth* bytes meanwhile, looked at every 5 ms."""
    before, most = resident(), 0

    async def looks() -> None:
        nonlocal most
        while True:
            most = max(most, resident())
            await asyncio.sleep(0.005)

    looking = asyncio.create_task(looks())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    assert most - before < growth


async def says(peer: Peer, size: int) -> None:
    """Send *size* bytes that tell their place."""
    while size:
        size -= len(block := BLOCK[:size])
        await peer.sends(block)


async def hears(peer: Peer, size: int, pace: float = 0.0) -> None:
    """Read *size* bytes, in whatever pieces: the bytes that `says` sends."""
    place = 0
    while place < size:
        data = await peer.receives(min(MIB, size - place))
        start = place % 256
        assert data
        assert data == (BLOCK * (len(data) // len(BLOCK) + 2))[start : start + len(data)]
        place += len(data)
        if pace:
            await asyncio.sleep(pace)


async def test_a_large_reply_and_a_slow_reader() -> None:
    size = 64 * MIB
    async with Stage() as stage:
        client = await stage.client(window=2**18)
        await client.sends(GET)
        server = await stage.accepts()
        await server.head()
        async with flat(20 * MIB):
            await server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            saying = stage.begins(says(server, size))
            await client.head()
            await hears(client, size, pace=0.0005)
            await saying
        await stage.answered_again(client, server)


async def test_a_large_request_and_a_slow_reader() -> None:
    size = 64 * MIB
    async with Stage() as stage:
        client = await stage.client()
        async with flat(32 * MIB):  # 8 of it are held, joined and passed on
            await client.sends(post(size))
            saying = stage.begins(says(client, size))
            server = await stage.accepts()
            await server.head()
            await hears(server, size, pace=0.0005)
            await saying
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"
        await stage.answered_again(client, server)


async def test_a_reply_of_a_gibibyte() -> None:
    size = 2**30
    async with Stage() as stage:
        client, server = await stage.call()
        async with flat(20 * MIB):
            await server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            saying = stage.begins(says(server, size))
            await client.head()
            await client.drains(size, step=MIB)
            await saying


async def test_both_ways_at_once() -> None:
    """A server that answers while it is asked."""
    size = 8 * MIB
    async with Stage(policy={"hold": "64KiB"}) as stage:
        client, server = await stage.call(post(size + 2**17) + bytes(2**17))
        await server.drains(2**17)
        await server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (size + 1))
        await client.head()
        talk = [says(client, size), says(server, size), hears(client, size), hears(server, size)]
        await asyncio.gather(*map(stage.begins, talk))
        await server.sends(b"!")
        await client.gets(b"!")
        await client.ends()  # the head went out before the request was complete


# -- held, or passed on --


async def test_a_body_that_fits_is_sent_when_it_is_whole() -> None:
    async with Stage(policy={"hold": "64KiB"}) as stage:
        client = await stage.client()
        await client.sends(post(2**16) + bytes(2**16 - 1))
        await until(lambda: stage.listener().connections)
        assert stage.endpoint.open == 0
        await client.sends(b"\0")
        server = await stage.accepts()
        await server.head()
        await server.drains(2**16)
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"


async def test_a_body_that_does_not_fit_is_passed_on() -> None:
    async with Stage(policy={"hold": "64KiB"}) as stage:
        client, server = await stage.call(post(2**17) + bytes(2**16 + 1))
        await server.drains(2**16 + 1)  # though the rest is still to come
        await client.sends(bytes(2**16 - 1))
        await server.drains(2**16 - 1)
        await server.sends(OK)
        reply = await client.reply()
        assert (reply.body, reply["connection"]) == (b"ok", "")
        await stage.answered_again(client, server)


async def test_a_chunked_body_that_is_passed_on_keeps_its_trailers() -> None:
    async with Stage(policy={"hold": "1KiB"}) as stage:
        client, server = await stage.call(CHUNKED + chunk(bytes(2000)))
        await server.gets(chunk(bytes(2000)))
        await client.sends(chunk(b"more") + b"0\r\nX-Sum: 1\r\n\r\n")
        await server.gets(chunk(b"more") + b"0\r\nX-Sum: 1\r\n\r\n")
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"


async def test_none_is_held() -> None:
    async with Stage(policy={"hold": "0B"}) as stage:
        client, server = await stage.call(post(3) + b"a")
        await server.gets(b"a")
        await client.sends(b"bc")
        await server.gets(b"bc")
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"


async def test_a_caller_who_waits_for_continue_is_told_before_its_body_is_passed_on() -> None:
    expects = b"Expect: 100-continue\r\nContent-Length"
    async with Stage(policy={"hold": "0B"}) as stage:
        client = await stage.client()
        await client.sends(post(3).replace(b"Content-Length", expects))
        await client.gets(b"HTTP/1.1 100 Continue\r\n\r\n")
        await client.sends(b"abc")
        server = await stage.accepts()
        await server.head()
        await server.gets(b"abc")
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"


# -- at the pace of the slower side --


async def test_a_server_waits_for_the_caller() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        sent = await server.floods()
        await client.head()
        await client.drains(sent)


async def test_a_server_waits_for_the_caller_of_a_stream() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(EVENTS)
        event = chunk(b"data: " + b"x" * 1000 + b"\n\n")
        sent = await server.floods(event * 64)
        await client.head()
        await client.drains(sent // 2)  # we may frame it with fewer bytes


async def test_a_caller_waits_for_the_server() -> None:
    async with Stage(policy={"hold": "64KiB"}) as stage:
        client, server = await stage.call(post(10**9) + bytes(2**17))
        sent = await client.floods()
        await server.drains(sent + 2**17)


async def test_a_caller_waits_for_a_connection() -> None:
    async with Stage(pool={"max_open": 1}, policy={"hold": "64KiB"}) as stage:
        _, busy = await stage.call()
        client = await stage.client()
        await client.sends(post(10**9))
        await client.floods()
        busy.resets()
        server = await stage.accepts()
        await server.head()


async def test_pipelined_requests_stay_bytes_until_their_turn() -> None:
    """A read full of requests costs its own size while it waits, not that of thousands of calls."""
    async with Stage() as stage:
        client, server = await stage.call()
        async with flat(2 * MIB):
            await client.sends(GET * (2**18 // len(GET)))
            await asyncio.sleep(0.05)
        for _ in range(3):
            await server.sends(OK)
            assert (await client.reply()).body == b"ok"
            await server.head()
        assert stage.route.statuses == {200: 3}


async def test_calls_wait_for_the_one_before_them() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await client.floods(post(60_000) + bytes(60_000))
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"


async def test_calls_wait_until_the_replies_before_them_are_taken() -> None:
    async with Stage() as stage:
        client = await stage.client(window=2**14)
        reply = ok(bytes(60_000))
        asking = stage.begins(client.sends(GET * 2000))  # 120 MB of replies, none of which is read
        server = await stage.accepts()
        async with flat(20 * MIB):
            while len(reply) * stage.route.statuses[200] < 64 * MIB and not await server.silent(
                0.1
            ):
                await server.head()
                await server.sends(reply)
        for _ in range(3):
            assert len((await client.reply()).body) == 60_000
        await asking


def bounded(total: str, wait: str) -> Stage:
    stage = Stage(policy={"hold": "1MiB"})
    stage.config["buffers"] = {"request_bodies": total, "wait": wait}
    return stage


async def test_more_bodies_than_memory_are_served_in_turn() -> None:
    """Each needs a quarter of the memory, and all come at once."""
    size, callers = MIB, 24
    async with bounded("4MiB", "1m") as stage:
        clients = [await stage.client() for _ in range(callers)]
        calls = [stage.begins(client.sends(post(size) + bytes(size))) for client in clients]
        most = 0
        for _ in range(callers):
            server = await stage.accepts()
            await server.head()
            await server.drains(size)
            most = max(most, stage.serving.body_memory.used)
            await server.sends(
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
            )
        await asyncio.gather(*calls)
        assert [(await client.reply()).body for client in clients] == [b"ok"] * callers
        assert most <= 4 * MIB + callers * 2**18
        await stage.is_at_rest()
        assert (stage.serving.body_memory.used, stage.serving.body_memory.refused) == (0, 0)


async def test_slow_bodies_take_no_more_memory_than_they_may() -> None:
    async with bounded("2MiB", "200ms") as stage:
        slow = [await stage.client() for _ in range(20)]
        for client in slow:
            await client.sends(post(MIB) + bytes(MIB // 2))  # and nothing more
        replies = [await client.reply() for client in slow]
        assert {reply.code for reply in replies} <= {"request_timeout", "no_body_memory"}
        for client in slow:
            client.closes()
        await stage.is_at_rest()
        assert stage.serving.body_memory.used == 0
        await stage.answered(await stage.client(), post(MIB) + bytes(MIB))


async def test_uploads_that_are_aborted_give_their_memory_back() -> None:
    async with Stage() as stage, flat(20 * MIB):
        for _ in range(40):
            client = await stage.client()
            await client.sends(post(2 * MIB) + bytes(2 * MIB - 1))
            await until(lambda: stage.serving.body_memory.used >= 2 * MIB - 1)
            client.closes()
            await until(lambda: not stage.serving.body_memory.used)


async def test_a_large_held_body_is_not_copied_for_a_slow_server() -> None:
    size = 8 * MIB
    request = post(size) + bytes(size)
    async with Stage() as stage:
        client = await stage.client()
        tracemalloc.start()
        try:
            await client.sends(request)
            server = await stage.accepts()
            await server.head()
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held < 1.2 * size
        await server.drains(size)
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"


async def test_a_server_that_answers_before_it_took_a_held_body() -> None:
    size = 8 * MIB
    async with Stage() as stage:
        client, server = await stage.call(post(size) + bytes(size))
        await server.sends(ok(b"enough"))
        assert (await client.reply()).body == b"enough"
        await server.is_cut()
        await stage.answered(client)  # the caller's connection goes on


async def test_a_held_body_in_chunks_keeps_its_framing() -> None:
    size = MIB
    async with Stage() as stage:
        client = await stage.client()
        await client.sends(CHUNKED + b"".join(chunk(bytes(2**14)) for _ in range(64)))
        await client.sends(b"0\r\nX-Sum: 1\r\n\r\n")
        server = await stage.accepts()
        await server.until(b"\r\n\r\n100000\r\n")
        await server.drains(size)
        await server.gets(b"\r\n0\r\nX-Sum: 1\r\n\r\n")
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"
