"""Interim replies, and who is named, where more than one attempt is made for a call."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.observe.record import CallRecord
from tests.sockets.peers import GET, OK, Peer, Server, until
from tests.sockets.scripted import Fleet, Scripted, chat, status
from tests.sockets.stage import Stage

HEDGED: dict[str, Any] = {"hedge": {"after": "1us"}, "retry": {"max": 0}}
LINK = b"HTTP/1.1 103 Early Hints\r\nLink: </%b>\r\n\r\n"


class Logged(list[CallRecord]):
    """Stands for the access log of a stage."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        stage.serving.recorder.sinks = [self]

    async def endpoint(self) -> str:
        """Of the next call that has ended."""
        await until(lambda: self)
        return self.pop().endpoint


def two() -> tuple[Server, Server]:
    return Server(), Server()


async def hedged(stage: Stage) -> tuple[Peer, list[Peer]]:
    """A caller, and the servers' ends of both attempts of its call."""
    client = await stage.client()
    await client.sends(GET)
    ends = [await server.accepts() for server in stage.servers]
    for end in ends:
        await end.head()
    return client, ends


async def test_a_hedges_loser_tells_the_caller_nothing() -> None:
    async with Stage(servers=two(), policy=HEDGED) as stage:
        client, (loser, winner) = await hedged(stage)
        await loser.sends(LINK % b"loser")
        await winner.sends(LINK % b"winner" + OK)
        await client.gets(LINK % b"winner" + b"HTTP/1.1 200 OK\r\n")
        assert b"loser" not in await client.until(b"ok")
        await loser.is_cut()


async def test_without_a_second_attempt_interim_replies_do_not_wait() -> None:
    async with Stage(policy={"retry": {"max": 2}}) as stage:
        client, server = await stage.call()
        await server.sends(LINK % b"a")
        await client.gets(LINK % b"a")
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"


@pytest.mark.parametrize("policy", [HEDGED, {"retry": {"max": 0}}])
@pytest.mark.parametrize(("count", "size"), [(101, 10), (5, 60_000)])
async def test_endless_interim_replies_are_no_reply(
    policy: dict[str, Any], count: int, size: int
) -> None:
    interim = LINK % (b"x" * size)
    async with Stage(servers=two() if policy is HEDGED else (), policy=policy) as stage:
        client = await stage.client()
        await client.sends(GET)
        for server in stage.servers:
            end = await server.accepts()
            await end.head()
            for _ in range(count):
                await end.sends(interim)
        assert b"bad_reply" in await client.until(b"bad_reply")


async def test_a_mirrors_interim_reply_goes_nowhere() -> None:
    one, shadow = Scripted("one"), Scripted("shadow", always=LINK % b"x" + status(200))
    upstreams = {s.name: {"endpoints": [{"url": s.url}]} for s in (one, shadow)}
    routes = [{"name": "r", "upstream": "one", "mirror": {"upstream": "shadow"}}]
    async with Fleet(one, shadow, upstreams=upstreams, routes=routes) as stage:
        _, body, reply = await stage.gets(chat())
        assert (body, reply.interim) == (b"one", [])
        await until(lambda: stage.route.mirrored == {"200": 1})


@pytest.mark.parametrize("winner", [0, 1])
async def test_the_log_names_the_endpoint_whose_reply_was_sent(winner: int) -> None:
    async with Stage(servers=two(), policy=HEDGED) as stage:
        logged = Logged(stage)
        client, ends = await hedged(stage)
        await ends[winner].sends(OK)
        assert (await client.reply()).body == b"ok"
        assert await logged.endpoint() == stage.servers[winner].url


@pytest.mark.parametrize("last", [0, 1])
async def test_the_log_names_the_endpoint_whose_failure_is_told(last: int) -> None:
    async with Stage(servers=two(), policy=HEDGED) as stage:
        logged = Logged(stage)
        client, ends = await hedged(stage)
        stats = [stage.stats.endpoints["u", server.url] for server in stage.servers]
        ends[1 - last].resets()
        await until(lambda: stats[1 - last].errors)
        ends[last].resets()
        assert (await client.reply()).code == "upstream_reset"
        assert await logged.endpoint() == stage.servers[last].url


async def test_reply_bytes_of_every_attempt_are_counted() -> None:
    failing, other = Scripted("failing", always=status(500, body=b"12345")), Scripted("other")
    upstreams = {s.name: {"endpoints": [{"url": s.url}]} for s in (failing, other)}
    route = {"name": "r", "upstream": "failing", "mirror": {"upstream": "failing"}}
    routes = [route | {"fallback": [{"upstream": "other"}]}]
    async with Fleet(failing, other, upstreams=upstreams, routes=routes) as stage:
        assert (await stage.gets(chat()))[1] == b"other"
        await until(lambda: stage.route.mirrored == {"500": 1})
        counted = {name: stats.bytes_in for (name, _), stats in stage.stats.endpoints.items()}
        assert counted == {"failing": 5 * failing.calls, "other": 5}
        assert failing.calls == 4  # three attempts and a copy


async def test_what_came_of_a_reply_that_broke_is_counted() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1234")
        await client.until(b"1234")
        server.closes()
        await client.is_cut()
        await stage.is_at_rest()
        assert stage.endpoint.bytes_in == 4
