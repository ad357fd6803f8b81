"""A connection whose reading was paused is read again, however the call ended that paused it.

The servers here take only a part of a large body. The next call on the caller's connection tells
whether the sidecar still reads it. `Stage` looks for pauses without an owner in every test.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from sidecar.listen import downstream
from sidecar.proxy.body.body import BODY_FULL, UPSTREAM_FULL
from tests.sockets.peers import CHUNKED_OK, GET, OK, Peer, Server, chunk, ok, post, until
from tests.sockets.stage import Stage

LARGE = 7 * 2**20
"""Bytes: below `hold`, and more than the kernel takes for a server that does not read."""
HELD = post(LARGE) + bytes(LARGE)
REFUSED = b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno"
CLOSED = b"HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"


def stage(count: int = 1, **sections: Any) -> Stage:
    """With servers whose kernels take little for them."""
    return Stage(servers=[Server(window=4096) for _ in range(count)], **sections)


async def next_call(stage: Stage, client: Peer) -> None:
    """Carry a call on *client*, whatever connection the sidecar takes for it."""
    await client.sends(GET)
    server = await stage.accepts()
    await server.head()
    await server.sends(OK)
    assert (await client.reply()).body == b"ok"


@pytest.mark.parametrize("reply", [REFUSED, CLOSED], ids=["stays", "closes"])
async def test_a_server_that_answers_before_it_took_the_body(reply: bytes) -> None:
    async with stage() as s:
        client, server = await s.call(HELD)
        await server.sends(reply)
        if reply is CLOSED:
            server.closes()
        assert (await client.reply()).body == b"no"
        await next_call(s, client)


async def test_what_a_server_has_not_taken_never_stands_before_the_next_call() -> None:
    """Its connection is closed, though it would have been kept."""
    async with stage() as s:
        client, server = await s.call(HELD)
        await server.sends(REFUSED)
        assert (await client.reply()).status == 401
        await server.is_cut()
        assert s.endpoint.idle == 0


async def test_a_server_that_reads_nothing_and_is_given_up() -> None:
    async with stage(timeouts={"first_byte": "50ms"}) as s:
        client, _ = await s.call(HELD)
        assert (await client.reply()).code == "first_byte_timeout"
        await next_call(s, client)


async def test_a_server_that_breaks_off() -> None:
    async with stage() as s:
        client, server = await s.call(HELD)
        server.resets()
        assert (await client.reply()).status == 502
        await next_call(s, client)


async def test_an_attempt_that_is_made_again() -> None:
    async with stage(policy={"retry": {"max": 1, "backoff": {"base": "1us", "cap": "1us"}}}) as s:
        client, server = await s.call(HELD)
        await server.sends(b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno")
        second = await s.accepts()
        await second.head()
        await second.drains(LARGE)
        await second.sends(OK)
        assert (await client.reply()).body == b"ok"
        await s.answered_again(client, second)


async def test_the_loser_of_a_hedge() -> None:
    async with stage(count=2, policy={"hedge": {"after": "20ms"}}) as s:
        client = await s.client()
        await client.sends(HELD)
        servers = [await server.accepts() for server in s.servers]
        await servers[1].head()
        await servers[1].drains(LARGE)
        await servers[1].sends(OK)
        assert (await client.reply()).body == b"ok"
        await servers[0].is_cut()
        await s.is_at_rest()
        await client.sends(GET)
        answers = [asyncio.create_task(_answer(s, server)) for server in s.servers]
        assert (await client.reply()).body == b"here"
        for answer in answers:
            answer.cancel()
        await asyncio.gather(*answers, return_exceptions=True)


async def _answer(stage: Stage, server: Server) -> None:
    peer = server.peers[0] if server is stage.servers[1] else await server.accepts()
    await peer.head()
    await peer.sends(ok(b"here"))


async def test_a_caller_that_leaves_is_noticed_though_the_body_is_not_taken() -> None:
    async with stage() as s:
        client, server = await s.call(HELD)
        client.closes()
        await server.is_cut()
        await s.is_empty()


async def test_a_body_that_streams_is_held_back_until_its_call_ends() -> None:
    async with stage(policy={"hold": "1KiB"}, timeouts={"idle": "100ms"}) as s:
        client, _ = await s.call(post(2**30) + bytes(2000))
        await client.floods()
        (connection,) = s.listener().connections
        assert connection._blocks == UPSTREAM_FULL
        assert (await client.reply()).code == "idle_timeout"
        await client.ends()


@pytest.mark.parametrize("reason", [BODY_FULL, UPSTREAM_FULL, 4])
async def test_a_pause_without_an_owner_is_ended_and_told_once(reason: int) -> None:
    async with stage() as s:
        client = await s.client()
        server = await s.answered(client)
        (connection,) = s.listener().connections
        for _ in range(2):
            connection.pause_reading(reason)  # what a bug would do
            await s.answered_again(client, server)
        (told,) = s.errors
        assert told == f"internal error: reading of a connection stayed paused, reasons {reason}"
        s.errors.clear()


# -- closing, which waits for what was written --


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downstream, "_LINGER", 0.01)
    monkeypatch.setattr(downstream, "_STALLED", 3)


@pytest.mark.usefixtures("impatient")
async def test_a_caller_that_takes_nothing_of_a_reply_that_is_broken_off() -> None:
    async with stage(timeouts={"idle": "50ms"}) as s:
        client = await s.client(window=4096)
        await client.sends(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        server = await s.accepts()
        await server.head()
        await server.sends(CHUNKED_OK)
        with contextlib.suppress(ConnectionError):  # a slow machine may be broken off meanwhile
            await server.floods(chunk(bytes(2**16)))
        await until(lambda: not s.listener().connections, "its connection's end")


@pytest.mark.usefixtures("impatient")
async def test_a_caller_that_says_it_left_but_takes_nothing() -> None:
    async with stage() as s:
        client = await s.client(window=4096)
        await client.sends(GET)
        server = await s.accepts()
        await server.head()
        await server.sends(CHUNKED_OK)
        await server.floods(chunk(bytes(2**16)))
        client.half_closes()
        await until(lambda: not s.listener().connections, "its connection's end")
