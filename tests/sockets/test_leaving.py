"""The caller leaves, or takes nothing more: in each phase of its call.

What was begun for it ends at once upstream, and nothing is held (`Stage` checks that at its end).
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from sidecar.listen.downstream import DownstreamConnection
from sidecar.proxy.exchange.exchange import Exchange
from sidecar.upstream.connect.connection import UpstreamConnection
from tests.sockets.peers import EVENTS, GET, OK, Peer, Server, chunk, post, until
from tests.sockets.stage import Stage

LEAVING = [Peer.closes, Peer.resets]
Leave = Callable[[Peer], None]
leaving = pytest.mark.parametrize("leave", LEAVING)


@leaving
async def test_while_it_waits_for_a_connection(leave: Leave) -> None:
    async with Stage(pool={"max_open": 1}) as stage:
        first, server = await stage.call()
        second = await stage.client()
        await second.sends(GET)
        await until(lambda: stage.endpoint.waiting == 1)
        leave(second)
        await until(lambda: stage.endpoint.waiting == 0)
        await server.sends(OK)
        assert (await first.reply()).body == b"ok"
        await stage.is_at_rest()
        assert stage.endpoint.attempts[200] == 1
        assert (stage.route.statuses, stage.route.errors) == ({0: 1, 200: 1}, {"caller_left": 1})


@leaving
async def test_while_it_is_connected(leave: Leave) -> None:
    async with Stage(servers=[Server(backlog=0)]) as stage:
        await stage.server.fills()
        client = await stage.client()
        await client.sends(GET)
        await until(lambda: stage.endpoint.open == 1)
        leave(client)
        await stage.is_empty()
        assert stage.route.errors == {"caller_left": 1}


@leaving
async def test_while_its_body_is_held(leave: Leave) -> None:
    async with Stage() as stage:
        client = await stage.client()
        await client.sends(post(5000) + b"x" * 100)
        await until(lambda: stage.listener().connections)
        leave(client)
        await stage.is_empty()
        assert not stage.endpoint.attempts


@leaving
async def test_while_its_body_streams(leave: Leave) -> None:
    async with Stage(policy={"hold": "1KiB"}) as stage:
        client, server = await stage.call(post(5000) + b"x" * 2000)
        await server.gets(b"x" * 2000)
        leave(client)
        await server.is_cut()
        await stage.is_empty()


@leaving
async def test_while_its_body_streams_against_the_wind(leave: Leave) -> None:
    async with Stage(policy={"hold": "1KiB"}) as stage:
        client, server = await stage.call(post(2**30) + bytes(2000))
        await client.floods()  # until the server, who reads nothing, has filled every buffer
        leave(client)
        await server.is_cut()
        await stage.is_empty()


@leaving
async def test_before_the_head(leave: Leave) -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        leave(client)
        await server.is_cut()
        await stage.is_empty()
        assert stage.endpoint.attempts == {0: 1}


@leaving
async def test_within_a_body_of_known_length(leave: Leave) -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome")
        await client.until(b"some")
        leave(client)
        await server.is_cut()
        await stage.is_empty()
        assert stage.endpoint.attempts == {200: 1}


@leaving
async def test_within_a_stream(leave: Leave) -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(EVENTS + chunk(b"data: 1\n\n"))
        await client.until(b"data: 1\n\n\r\n")
        leave(client)
        await server.is_cut()
        await stage.is_empty()
        assert stage.route.errors == {"caller_left": 1}


@leaving
async def test_within_a_stream_that_it_does_not_read(leave: Leave) -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(b"HTTP/1.1 200 OK\r\n\r\n")
        await server.floods()
        leave(client)
        await server.is_cut()
        await stage.is_empty()


@leaving
async def test_with_calls_behind_the_one_that_is_served(leave: Leave) -> None:
    async with Stage() as stage:
        client, server = await stage.call(GET * 20)
        leave(client)
        await server.is_cut()
        await stage.is_empty()
        assert stage.endpoint.attempts == {0: 1}


@leaving
async def test_between_calls(leave: Leave) -> None:
    async with Stage() as stage:
        client = await stage.client()
        server = await stage.answered(client)
        leave(client)
        await until(lambda: not stage.listener().connections)
        other = await stage.client()
        await other.sends(GET)  # on the same connection upstream, which was not hurt
        await server.head()
        await server.sends(OK)
        assert (await other.reply()).body == b"ok"


@leaving
async def test_within_a_head(leave: Leave) -> None:
    async with Stage() as stage:
        client = await stage.client()
        await client.sends(GET[:20])
        await until(lambda: stage.listener().connections)
        leave(client)
        await stage.is_empty()


async def test_half_a_connection_is_a_caller_that_left() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        client.half_closes()
        await server.is_cut()
        await stage.is_empty()


SERVING = {"half_close": "serve"}


@pytest.mark.parametrize("request_", [GET, post(5000) + bytes(5000)])
async def test_half_a_connection_is_served_where_the_listener_says_so(request_: bytes) -> None:
    async with Stage(listener=SERVING) as stage:
        client = await stage.client()
        await client.sends(request_)
        client.half_closes()
        server = await stage.accepts()
        await server.until(request_[-4:])
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"
        await client.ends()
        assert stage.route.statuses == {200: 1}


async def test_requests_before_half_a_close_are_all_served() -> None:
    async with Stage(listener=SERVING) as stage:
        client = await stage.client()
        await client.sends(GET + GET)
        client.half_closes()
        server = await stage.accepts()
        for _ in range(2):
            await server.head()
            await server.sends(OK)
            assert (await client.reply()).body == b"ok"
        await client.ends()


async def test_half_a_request_and_half_a_close_is_a_caller_that_left() -> None:
    async with Stage(listener=SERVING, policy={"hold": "1KiB"}) as stage:
        client, server = await stage.call(post(5000) + bytes(2000))
        client.half_closes()
        await server.is_cut()
        await stage.is_empty()


@leaving
async def test_the_rest_of_a_half_closed_connection_goes(leave: Leave) -> None:
    """The caller closed its side, still takes its stream, and then goes: a write tells."""
    async with Stage(listener=SERVING) as stage:
        client, server = await stage.call()
        client.half_closes()
        await server.sends(EVENTS + chunk(b"data: 1\n\n"))
        await client.until(b"data: 1\n\n")
        leave(client)
        await server.talks(lambda: chunk(b"data: 2\n\n"), pace=0.01)
        await stage.is_empty()


async def test_idle_connections_that_half_close_are_closed() -> None:
    async with Stage(listener=SERVING) as stage:
        client = await stage.client()
        await stage.answered(client)
        client.half_closes()
        await client.ends()


# -- it stays, but takes nothing --


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", EVENTS])
async def test_a_stalled_caller_is_given_up(head: bytes) -> None:
    async with Stage(timeouts={"idle": "200ms"}) as stage:
        _, server = await stage.call()
        await server.sends(head)
        data = chunk(b"x" * 60_000) if head is EVENTS else b"x" * 60_000
        await server.floods(data=data)
        await server.is_cut()
        await stage.is_at_rest()
        assert stage.route.errors == {"caller_stalled": 1}


async def test_a_slow_caller_is_not_given_up() -> None:
    """It takes many idle times over what lies in buffers, but goes on taking."""
    async with Stage(timeouts={"idle": "100ms"}) as stage:
        size = 2**24
        client = await stage.client(window=2**14)
        await client.sends(GET)
        server = await stage.accepts()
        await server.head()
        await server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        sending = stage.begins(server.sends(bytes(size)))
        await client.head()
        await client.drains(80 * 2**14, pace=0.01, step=2**14)
        await client.drains(size - 80 * 2**14)
        await sending
        await stage.is_at_rest()
        assert stage.route.errors == {}


@pytest.mark.parametrize("begin", [b"", b"\r\n", GET[:10]])
async def test_a_connection_without_a_head_is_closed(begin: bytes) -> None:
    """Whoever opens connections and sends nothing must not fill the listener for an hour."""
    async with Stage(listener={"head_timeout": "100ms"}) as stage:
        client = await stage.client()
        await client.sends(begin)
        if begin:
            assert (await client.reply()).status == 408
        await client.ends()  # one that sent nothing expects no reply
        assert not stage.route.statuses


async def test_empty_lines_hold_no_connection_open() -> None:
    async with Stage(listener={"head_timeout": "300ms"}) as stage:
        client = await stage.client()
        await stage.answered(client)
        await client.talks(lambda: b"\r\n", pace=0.1)
        assert (await client.reply()).status in (400, 408)


async def test_a_connection_at_rest_is_closed_in_the_end() -> None:
    async with Stage(listener={"keep_alive": "100ms"}) as stage:
        client = await stage.client()
        await stage.answered(client)
        await client.ends()


def come_just_behind(monkeypatch: pytest.MonkeyPatch, data: bytes) -> list[UpstreamConnection]:
    """Have *data* come upstream when a caller's transport is closed and its task has not run yet.

    It comes on the connections that the test adds to what is returned.
    """
    upstream: list[UpstreamConnection] = []
    lost = DownstreamConnection.connection_lost

    def connection_lost(self: DownstreamConnection, exc: Exception | None) -> None:
        for connection in upstream:
            asyncio.get_running_loop().call_soon(connection.data_received, data)
        lost(self, exc)

    monkeypatch.setattr(DownstreamConnection, "connection_lost", connection_lost)
    return upstream


LATE = {
    "a chunk": chunk(b"data: b\n\n"),
    "the end": b"0\r\n\r\n",
    "half a chunk": b"9\r\ndata",
}


@pytest.mark.parametrize("data", LATE.values(), ids=LATE)
async def test_what_comes_in_the_same_step_goes_nowhere(
    monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    behind = come_just_behind(monkeypatch, data)
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(EVENTS + chunk(b"data: a\n\n"))
        await client.until(b"data: a")
        exchange = next(iter(stage.listener().connections)).call.reply  # type: ignore[union-attr]
        assert isinstance(exchange, Exchange)
        behind.append(exchange.connection)
        client.resets()
        await server.is_cut()
        await stage.is_empty()
        assert stage.route.errors == {"caller_left": 1}


async def test_an_interim_reply_in_the_same_step_goes_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    behind = come_just_behind(monkeypatch, b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")
    busy: list[UpstreamConnection] = []
    begin = UpstreamConnection.begin

    def begins(self: UpstreamConnection, *request: Any) -> None:
        busy.append(self)
        begin(self, *request)

    monkeypatch.setattr(UpstreamConnection, "begin", begins)
    async with Stage() as stage:
        client, server = await stage.call()
        behind += busy
        client.resets()
        await server.is_cut()
        await stage.is_empty()
        assert stage.route.errors == {"caller_left": 1}
