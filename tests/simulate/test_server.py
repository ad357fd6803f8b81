"""Outages: nobody listens, open connections are cut, and it comes back by itself."""

import asyncio

import aiohttp
import pytest

from sidecar.simulate.behaviour import Behaviour
from sidecar.simulate.fleet import Fleet

HI = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


async def healthy(url: str) -> bool:
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(f"{url}/health") as reply:
                return reply.status == 200
        except aiohttp.ClientConnectionError:
            return False


async def until_healthy(url: str, wanted: bool = True) -> None:
    while await healthy(url) is not wanted:  # noqa: ASYNC110 - only a look tells
        await asyncio.sleep(0.005)


async def test_an_outage_from_the_start_ends_by_itself_on_the_same_port() -> None:
    fleet = Fleet()
    [url] = await fleet.start([Behaviour.parse("down=0s:1h")])
    host, port = url.removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, int(port))
    fleet.change(0, Behaviour.parse("down=0s:50ms"))
    await until_healthy(url)
    await fleet.stop()


async def test_an_outage_refuses_cuts_and_counts_until_the_behaviour_changes() -> None:
    fleet = Fleet()
    [url] = await fleet.start([Behaviour.parse("latency=1h")])
    counters = fleet.counters[0]
    async with aiohttp.ClientSession() as session:
        working = asyncio.create_task(session.post(f"{url}/v1/chat/completions", json=HI))
        while not counters.running:  # noqa: ASYNC110 - another task's plain number
            await asyncio.sleep(0.001)
        async with session.post(f"{url}/_simulate", data="down=0s:1h") as reply:
            assert reply.status == 200
        with pytest.raises(aiohttp.ClientConnectionError):
            await working
    await until_healthy(url, wanted=False)
    assert (counters.failures["down"], counters.cancelled) == (1, 0)
    fleet.change(0, Behaviour())
    await until_healthy(url)
    await fleet.stop()


async def test_a_later_outage_comes_and_goes() -> None:
    fleet = Fleet()
    [url] = await fleet.start([Behaviour()])
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    # Accepted, not just in the backlog.
    writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    fleet.change(0, Behaviour.parse("down=50ms:100ms"))
    assert await reader.read() == b""
    writer.close()
    await until_healthy(url)
    await fleet.stop()


async def test_a_port_taken_during_an_outage_is_had_once_it_is_free() -> None:
    fleet = Fleet()
    [url] = await fleet.start([Behaviour.parse("down=0s:1h")])
    host, port = url.removeprefix("http://").split(":")
    squatter = await asyncio.start_server(lambda _r, w: w.close(), host, int(port))
    fleet.change(0, Behaviour())
    assert not await healthy(url)
    squatter.close()
    await until_healthy(url)
    await fleet.stop()


async def test_stopping_ends_an_outage_too() -> None:
    fleet = Fleet()
    await fleet.start([Behaviour.parse("down=0s:1h"), Behaviour()])
    await fleet.stop()
    assert fleet.counters == []


async def test_a_taken_port_is_an_error_that_leaves_nothing_running() -> None:
    first, second = Fleet(), Fleet()
    [url] = await first.start([Behaviour()])
    taken = int(url.rpartition(":")[2])
    with pytest.raises(OSError, match="address already in use"):
        await second.start([Behaviour(), Behaviour()], ports=[0, taken])
    assert second.counters == []
    assert await healthy(url)
    await first.stop()
    assert not await healthy(url)


async def test_each_endpoint_has_its_own_port_name_and_counters() -> None:
    fleet = Fleet()
    urls = await fleet.start([Behaviour(), Behaviour()])
    chat = f"{urls[1]}/v1/chat/completions"
    async with aiohttp.ClientSession() as session, session.post(chat, json=HI) as reply:
        assert reply.headers["x-simulated-endpoint"] == "sim-1"
    assert len(set(urls)) == 2
    assert [counters.requests for counters in fleet.counters] == [0, 1]
    await fleet.stop()
