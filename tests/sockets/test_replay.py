"""Connections that are used again: which, how long, and what if the server has closed one."""

import asyncio

import pytest

from tests.sockets.peers import CHUNKED_OK, GET, OK, POST, Peer, Server, chunk, ok, post, until
from tests.sockets.stage import Stage


async def test_a_server_that_closes_when_it_sees_the_next_request() -> None:
    async with Stage() as stage:
        client = await stage.client()
        old = await stage.answered(client)
        await client.sends(POST)
        await old.head()
        old.closes()
        new = await stage.accepts()  # the same again, byte for byte, on a new connection
        assert b"POST /v1/chat" in await new.head()
        await new.gets(b"hi")
        await new.sends(OK)
        assert (await client.reply()).body == b"ok"
        assert stage.endpoint.replays == 1
        assert stage.endpoint.errors == {"upstream_reset": 1}


async def test_a_replay_is_not_replayed() -> None:
    async with Stage() as stage:
        client = await stage.client()
        old = await stage.answered(client)
        await client.sends(GET)
        await old.head()
        old.resets()
        new = await stage.accepts()
        await new.head()
        new.resets()
        reply = await client.reply()
        assert (reply.status, reply.code) == (502, "upstream_reset")
        assert stage.endpoint.replays == 1


async def test_a_replay_takes_a_new_connection_though_others_rest() -> None:
    async with Stage() as stage:
        clients = [await stage.client() for _ in range(3)]
        servers = []
        for client in clients:
            await client.sends(GET)
            servers.append(await stage.accepts())
        for client, server in zip(clients, servers, strict=True):
            await server.head()
            await server.sends(OK)
            await client.reply()
        await clients[0].sends(GET)
        last = servers[-1]  # the one that was used last is taken first
        await last.head()
        last.resets()
        new = await stage.accepts()
        await new.head()
        await new.sends(OK)
        assert (await clients[0].reply()).status == 200


async def test_a_replay_where_no_place_is_left() -> None:
    """An idle connection gives up its place."""
    async with Stage(pool={"max_open": 2}) as stage:
        first, second = await stage.client(), await stage.client()
        await first.sends(GET)
        one = await stage.accepts()
        await second.sends(GET)
        two = await stage.accepts()
        for client, server in ((first, one), (second, two)):
            await server.head()
            await server.sends(OK)
            await client.reply()
        await first.sends(GET)
        await two.head()
        two.resets()
        new = await stage.accepts()
        await new.head()
        await new.sends(OK)
        assert (await first.reply()).status == 200


@pytest.mark.parametrize("begun", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_nothing_is_replayed_once_the_server_has_said_something(begun: bytes) -> None:
    async with Stage() as stage:
        client = await stage.client()
        server = await stage.answered(client)
        await client.sends(POST)
        await server.head()
        await server.sends(begun)
        server.closes()
        assert (await client.reply()).status == 502
        assert stage.endpoint.replays == 0


async def test_a_body_that_streams_gets_a_new_connection() -> None:
    """One that had rested might be dead, and the body could not be sent again."""
    async with Stage(policy={"hold": "1KiB"}) as stage:
        client = await stage.client()
        resting = await stage.answered(client)
        await client.sends(post(3000) + bytes(2000))
        server = await stage.accepts()
        await client.sends(bytes(1000))
        await server.head()
        await server.gets(bytes(3000))
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"
        assert (stage.endpoint.connects, stage.endpoint.idle) == (2, 2)
        resting.closes()


async def test_a_body_that_streamed_is_not_replayed_and_blames_nobody() -> None:
    policy = {"hold": "1KiB", "breaker": {"min_calls": 1}}
    async with Stage(policy=policy, pool={"max_open": 1}) as stage:
        first, server = await stage.call()
        client = await stage.client()
        await client.sends(post(5000) + bytes(2000))
        await until(lambda: stage.endpoint.waiting == 1)
        await server.sends(OK)  # it gets the connection that the first call has left
        assert (await first.reply()).body == b"ok"
        await server.head()
        await server.gets(bytes(2000))
        server.resets()
        reply = await client.reply()
        assert (reply.status, reply.code) == (502, "stale_connection")
        assert stage.endpoint.replays == 0
        assert not stage.endpoint.transitions
        assert stage.endpoints[0].breakers["default"].window.failures == 0


async def test_silence_on_a_used_connection_is_not_replayed() -> None:
    async with Stage(timeouts={"first_byte": "50ms"}) as stage:
        client = await stage.client()
        server = await stage.answered(client)
        await client.sends(GET)
        await server.head()
        assert (await client.reply()).code == "first_byte_timeout"
        assert stage.endpoint.replays == 0


# -- how long a connection is kept --


async def test_a_connection_at_rest_is_closed_in_the_end() -> None:
    async with Stage(pool={"idle_timeout": "100ms"}) as stage:
        server = await stage.answered(await stage.client())
        await server.ends()
        assert stage.endpoint.open == 0


async def test_a_connection_is_not_used_beyond_its_life() -> None:
    async with Stage(pool={"lifetime": "50ms"}) as stage:
        client = await stage.client()
        server = await stage.answered(client)
        await asyncio.sleep(0.06)
        await stage.answered(client)  # on a new one
        await server.ends()


async def test_a_servers_hint_is_heeded() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(ok(b"ok", b"Keep-Alive: timeout=1"))  # less a second for the way
        assert (await client.reply()).body == b"ok"
        await asyncio.sleep(0.01)
        await stage.answered(client)
        await server.ends()


async def test_no_more_than_some_rest_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.upstream.connect.pool._UNNEEDED", 0.02)
    async with Stage(pool={"max_idle": 1}) as stage:
        calls = [await stage.call() for _ in range(3)]
        for client, server in calls:
            await server.sends(OK)
            await client.reply()
        assert stage.endpoint.open == 3
        await until(lambda: (stage.endpoint.open, stage.endpoint.idle) == (1, 1))
        await stage.answered_again(calls[0][0], calls[2][1])  # the last that was used stays


async def test_a_reply_that_is_whole_frees_its_connection_before_the_caller_has_it() -> None:
    async with Stage(pool={"max_open": 1}) as stage:
        slow = await stage.client(window=2**14)
        await slow.sends(GET)
        server = await stage.accepts()
        await server.head()
        await server.sends(CHUNKED_OK + chunk(bytes(60_000)) + b"0\r\n\r\n")
        other = await stage.client()
        await other.sends(GET)
        await server.head()
        await server.sends(OK)
        assert (await other.reply()).body == b"ok"
        assert len((await slow.reply()).body) == 60_000


# -- the line --


async def test_fifty_connections_and_a_fair_line() -> None:
    async with Stage(pool={"max_open": 50}) as stage:
        busy: list[tuple[Peer, Peer]] = [await stage.call() for _ in range(50)]
        line = []
        for number in range(10):
            client = await stage.client()
            await client.sends(GET.replace(b"models", b"%d" % number))
            await until(lambda number=number: stage.endpoint.waiting == number + 1)  # type: ignore[misc]
            line.append(client)
        assert stage.endpoint.open == 50
        for client, server in busy[:10]:
            await server.sends(OK)
            await client.reply()
        targets = [(await server.head()).split()[1] for _, server in busy[:10]]
        assert targets == [b"/v1/%d" % number for number in range(10)]
        for _, server in busy[:10]:
            await server.sends(OK)
        for client in line:
            assert (await client.reply()).body == b"ok"


async def test_who_waits_connects_where_a_connection_broke() -> None:
    async with Stage(pool={"max_open": 1}) as stage:
        first, server = await stage.call()
        second = await stage.client()
        await second.sends(GET)
        await until(lambda: stage.endpoint.waiting == 1)
        server.resets()
        assert (await first.reply()).status == 502
        new = await stage.accepts()
        await new.head()
        await new.sends(OK)
        assert (await second.reply()).body == b"ok"


async def test_endpoints_take_turns() -> None:
    async with Stage(servers=[Server(), Server(), Server()]) as stage:
        client = await stage.client()
        first = None
        for turn in range(6):
            await client.sends(GET)
            await until(lambda: any(e.stats.in_flight for e in stage.endpoints))
            busy = next(n for n, e in enumerate(stage.endpoints) if e.stats.in_flight)
            first = busy if first is None else first
            assert busy == (first + turn) % 3  # where it begins is random
            server = stage.servers[busy]
            peer = server.peers[0] if server.peers else await server.accepts()
            await peer.head()
            await peer.sends(OK)
            assert (await client.reply()).body == b"ok"
