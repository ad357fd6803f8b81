"""A second reply to one request is nobody's: it never reaches the next caller."""

from __future__ import annotations

import asyncio

import pytest

from tests.sockets.peers import GET, OK, until
from tests.sockets.stage import Stage

STRAY = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"


async def test_it_is_not_handed_to_a_caller_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Stage(pool={"max_open": 1}) as stage:
        first, server = await stage.call()
        second = await stage.client()
        await second.sends(GET)
        await until(lambda: stage.endpoint.waiting == 1)
        pool = stage.endpoints[0].pool
        release = pool.release

        def releases(connection: object) -> None:
            release(connection)  # type: ignore[arg-type]
            server.sock.send(STRAY)  # behind the first reply, before the second request

        monkeypatch.setattr(pool, "release", releases)
        await server.sends(OK)
        assert (await first.reply()).body == b"ok"
        monkeypatch.undo()
        other = await stage.accepts()
        await other.head()
        await other.sends(OK)
        assert (await second.reply()).body == b"ok"
        await server.is_cut()


@pytest.mark.parametrize("ends", [False, True])
async def test_it_is_not_handed_to_the_next_caller(ends: bool) -> None:
    async with Stage() as stage:
        client = await stage.client()
        server = await stage.answered(client)
        pool = stage.endpoints[0].pool
        # In one step, so that the loop reads nothing in between.
        server.sock.close() if ends else server.sock.send(STRAY)
        assert pool.take() is None
        await asyncio.sleep(0)
        again = asyncio.create_task(client.sends(GET))
        other = await stage.accepts()
        await again
        await other.head()
        await other.sends(OK)
        assert (await client.reply()).body == b"ok"
        assert stage.endpoint.replays == 0
