"""Chunks that come one a read go on as they came, and count as any others do."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sidecar.http.sse import Boundary
from sidecar.proxy.exchange.relay import Relay
from sidecar.upstream.connect.connection import UpstreamConnection
from tests.sockets.peers import CHUNKED_OK, EVENTS, OK, Peer, chunk, until
from tests.sockets.stage import Stage

APART = 0.02
"""Seconds between two writes that are to be two reads."""


async def streaming(stage: Stage, head: bytes, first: bytes) -> tuple[Peer, Peer]:
    """Both ends of a call whose first chunk has gone through."""
    client, server = await stage.call()
    await server.sends(head + chunk(first))
    await client.head()
    await client.gets(chunk(first))
    return client, server


async def test_as_they_came() -> None:
    async with Stage() as stage:
        client, server = await streaming(stage, CHUNKED_OK, b"first")
        for raw in (b"A\r\n0123456789\r\n", b"b\r\n0123456789a\r\n", b"C\r\n0123456789ab\r\n"):
            await server.sends(raw)
            await client.gets(raw)
        await server.sends(b"0\r\n\r\n")
        await client.gets(b"0\r\n\r\n")
        await until(lambda: stage.endpoint.bytes_in == 5 + 10 + 11 + 12, "the count of bytes")


async def test_what_only_looks_like_one() -> None:
    async with Stage() as stage:
        client, server = await streaming(stage, CHUNKED_OK, b"first")
        for part in (b"10\r\n", b"5\r\nhello\r\n", b"abcdef\r\n0\r\n\r\n"):
            await asyncio.sleep(APART)
            await server.sends(part)
        client.unread = CHUNKED_OK + client.unread
        assert (await client.reply()).body == b"5\r\nhello\r\nabcdef"


async def test_they_keep_a_stream_from_being_idle() -> None:
    async with Stage(timeouts={"idle": "400ms"}) as stage:
        client, server = await streaming(stage, CHUNKED_OK, b"first")
        for _ in range(6):
            await asyncio.sleep(0.1)  # all of it is longer than the idle time
            await server.sends(chunk(b"token"))
            await client.gets(chunk(b"token"))
        await server.sends(b"0\r\n\r\n")
        await client.gets(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [(b"data: 1\n\n", b"data: 2", False), (b"data: 1", b"23\n\n", True)],
)
async def test_a_stream_that_breaks_behind_one(first: bytes, second: bytes, told: bool) -> None:
    async with Stage() as stage:
        client, server = await streaming(stage, EVENTS, first)
        await server.sends(chunk(second))
        await client.gets(chunk(second))
        server.closes()
        assert (b"upstream_truncated" in await client.rest()) == told


def test_they_never_go_to_the_call_before() -> None:
    """A reply that nobody takes yet (a hedge's, say) comes on a connection that had another."""
    taken: list[bytes] = []
    events: list[bytes] = []
    pool = SimpleNamespace(release=lambda connection: None)
    exchange = SimpleNamespace(ended=False, on_response=lambda head: None, on_read=lambda: None)
    exchange.on_body = events.append
    exchange.on_whole_response = lambda head, body: None
    connection = UpstreamConnection(cast("Any", pool))
    connection.connection_made(cast("Any", SimpleNamespace(get_extra_info=lambda name: None)))
    connection.begin(cast("Any", exchange), b"GET", False)
    connection.take_chunk = Relay(taken.append, Boundary()).take
    connection.data_received(OK)
    connection.end(reusable=True)
    connection.begin(cast("Any", exchange), b"GET", False)
    connection.data_received(CHUNKED_OK + chunk(b"first"))
    connection.data_received(chunk(b"second"))
    assert (events, taken) == ([b"first", b"second"], [])
