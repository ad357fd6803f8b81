"""One configuration follows another while calls go on. A `Stage` is both ends of them."""

from __future__ import annotations

import asyncio
import errno
import socket
from pathlib import Path

import pytest

from tests.sockets.peers import CHUNKED_OK, GET, OK, Peer, Server, chunk, post, until
from tests.sockets.stage import Stage


def to_second(stage: Stage) -> None:
    """Send calls to the second server from now on, by another upstream; the first one is gone."""
    stage.config["upstreams"] = {"v": {"endpoints": [{"url": stage.servers[1].url}]}}
    stage.config["routes"] = [{"name": "s", "upstream": "v"}]


def two_servers() -> Stage:
    """The first of two serves."""
    first = Server()
    return Stage(servers=[first, Server()], upstream={"endpoints": [{"url": first.url}]})


async def test_a_call_keeps_the_configuration_that_it_began_with() -> None:
    async with two_servers() as stage:
        client, server = await stage.call()
        await server.sends(CHUNKED_OK + chunk(b"one"))
        await client.until(chunk(b"one"))
        to_second(stage)
        await stage.apply()
        await server.sends(chunk(b"two") + b"0\r\n\r\n")
        await client.gets(chunk(b"two") + b"0\r\n\r\n")
        await server.ends()  # its endpoint is gone
        await client.sends(GET)  # on the same connection
        new = await stage.servers[1].accepts()
        await new.head()
        await new.sends(OK)
        assert (await client.reply()).body == b"ok"
        assert list(stage.stats.routes) == [("r", "u"), ("s", "v")]


async def test_a_call_whose_body_is_held_meanwhile_keeps_its_upstream() -> None:
    async with two_servers() as stage:
        client = await stage.client()
        await client.sends(post(5) + b"abc")
        await until(lambda: stage.serving.in_flight())
        to_second(stage)
        await stage.apply()
        await client.sends(b"de")
        server = await stage.accepts()
        await server.head()
        await server.gets(b"abcde")
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"
        await server.ends()


async def test_a_call_that_waits_in_line_is_served() -> None:
    async with two_servers() as stage:
        stage.config["upstreams"]["u"]["pool"] = {"max_open": 1}
        await stage.apply()
        first, server = await stage.call()
        second = await stage.client()
        await second.sends(GET)
        await until(lambda: stage.endpoint.waiting)
        to_second(stage)
        await stage.apply()
        await server.sends(OK)
        await first.reply()
        new = await stage.accepts()  # the old one was not kept
        await new.head()
        await new.sends(OK)
        assert (await second.reply()).body == b"ok"


async def test_idle_connections_of_an_upstream_that_is_gone_are_closed() -> None:
    async with two_servers() as stage:
        server = await stage.answered(await stage.client())
        to_second(stage)
        await stage.apply()
        await server.ends()


async def test_connections_of_an_upstream_that_stays_are_kept() -> None:
    async with Stage() as stage:
        client = await stage.client()
        server = await stage.answered(client)
        stage.config["policies"]["default"]["hold"] = "1KiB"
        stage.config["upstreams"]["u"]["pool"] = {"max_idle": 3}
        await stage.apply()
        await stage.answered_again(client, server)


async def test_a_listener_that_is_added() -> None:
    async with Stage() as stage:
        client = await stage.client()
        stage.config["listeners"].append({"address": "127.0.0.2:0"})
        await stage.apply()
        await stage.answered(await stage.connects(("127.0.0.2", stage.listener(1).port)))
        await stage.answered_again(client, stage.server.peers[0])


async def test_a_listener_that_is_removed_finishes_its_calls() -> None:
    async with Stage(listeners=[{"address": "127.0.0.1:0"}, {"address": "127.0.0.2:0"}]) as stage:
        address = ("127.0.0.2", stage.listener(1).port)
        busy, idle = await stage.connects(address), await stage.connects(address)
        await busy.sends(GET)
        server = await stage.accepts()
        await server.head()
        del stage.config["listeners"][1]
        await stage.apply()
        await idle.ends()
        with pytest.raises(ConnectionRefusedError):
            await stage.connects(address)
        assert stage.serving.in_flight() == 1  # a shutdown waits for it
        await server.sends(OK)
        assert (await busy.reply())["connection"] == "close"
        await busy.ends()


async def test_new_limits_of_a_listener_hold_for_new_connections() -> None:
    async with Stage() as stage:
        stage.config["listeners"][0]["limits"] = {"request_line": "20B"}
        await stage.apply()
        client = await stage.client()
        await client.sends(GET)
        assert (await client.reply()).status == 414


async def test_an_address_in_use_changes_nothing() -> None:
    async with two_servers() as stage:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            good = list(stage.config["listeners"])
            stage.config["listeners"] += [
                {"address": "127.0.0.2:0"},
                {"address": f"127.0.0.1:{taken.getsockname()[1]}"},
            ]
            to_second(stage)
            with pytest.raises(
                OSError, match=r"cannot listen on 127\.0\.0\.1:\d+: address already in use$"
            ) as it:
                await stage.apply()
        assert it.value.errno == errno.EADDRINUSE
        assert [listener.name for listener in stage.serving.listeners.values()] == ["127.0.0.1:0"]
        assert [key for key, _ in stage.stats.endpoints] == ["u"]
        assert list(stage.stats.routes) == [("r", "u")]
        stage.config["listeners"] = good
        await stage.answered(await stage.client())  # by the first server


async def test_a_log_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    async with two_servers() as stage:
        stage.config["access_log"] = {"path": str(tmp_path / "no" / "such" / "log")}
        to_second(stage)
        with pytest.raises(FileNotFoundError):
            await stage.apply()
        assert list(stage.stats.routes) == [("r", "u")]
        await stage.answered(await stage.client())


async def test_another_log(tmp_path: Path) -> None:
    async with Stage() as stage:
        client = await stage.client()
        for name in ("one", "two"):
            stage.config["access_log"] = {"path": str(tmp_path / name)}
            await stage.apply()
            if not stage.server.peers:
                await stage.answered(client)
            else:
                await stage.answered_again(client, stage.server.peers[0])
        stage.config["access_log"] = {"path": None}
        await stage.apply()
        one, two = tmp_path / "one", tmp_path / "two"
        await until(lambda: [one.read_text().count("\n"), two.read_text().count("\n")] == [1, 1])


async def test_counts_of_a_route_that_is_gone_go_when_its_calls_have() -> None:
    async with two_servers() as stage:
        client, server = await stage.call()
        to_second(stage)
        await stage.apply()
        assert list(stage.stats.routes) == [("r", "u"), ("s", "v")]
        await server.sends(OK)
        await client.reply()
        await stage.apply()
        assert list(stage.stats.routes) == [("s", "v")]


# -- the end --


async def drains(stage: Stage, deadline: float = 5.0) -> asyncio.Task[bool]:
    """Begin to drain."""
    draining = stage.begins(stage.serving.drain(deadline))
    await until(lambda: stage.serving.draining)
    return draining


async def test_calls_in_flight_are_finished() -> None:
    async with Stage() as stage:
        idle = await stage.client()
        await stage.answered(idle)
        client = await stage.client()
        await client.sends(GET)
        server = stage.server.peers[0]
        await server.head()
        draining = await drains(stage)
        await idle.ends()
        idle.closes()
        await server.sends(OK)
        assert (await client.reply())["connection"] == "close"
        await client.ends()
        client.closes()
        assert await draining


async def test_new_calls_are_served_until_the_last_has_ended() -> None:
    async with Stage() as stage:
        first, server = await stage.call()
        draining = await drains(stage)
        second = await stage.client()
        await second.sends(GET)
        other = await stage.accepts()
        await other.head()
        await other.sends(OK)
        assert (await second.reply())["connection"] == "close"
        await second.ends()
        second.closes()
        await server.sends(OK)
        assert (await first.reply()).body == b"ok"
        await first.ends()
        first.closes()
        assert await draining


async def test_the_deadline_cuts_what_is_left() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(CHUNKED_OK + chunk(b"some"))
        await client.until(chunk(b"some"))
        draining = await drains(stage, 0.1)
        assert not await draining
        await client.is_cut()
        await server.is_cut()
        assert stage.route.errors == {"cut_off": 1}


async def test_an_idle_sidecar_ends_at_once() -> None:
    async with Stage() as stage:
        client: Peer = await stage.client()
        await stage.answered(client)
        draining = await drains(stage, 60.0)
        await client.ends()
        client.closes()
        assert await draining


async def test_a_call_on_a_listener_that_is_gone_is_waited_for() -> None:
    async with Stage(listeners=[{"address": "127.0.0.1:0"}, {"address": "127.0.0.2:0"}]) as stage:
        client = await stage.connects(("127.0.0.2", stage.listener(1).port))
        await client.sends(GET)
        server = await stage.accepts()
        await server.head()
        del stage.config["listeners"][1]
        await stage.apply()
        draining = await drains(stage)
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"
        client.closes()
        assert await draining
