"""The same calls at once: one upstream call, and each caller gets the reply as its own."""

from __future__ import annotations

import json

import pytest

from tests.sockets.asking import ANSWER, END, TEXT, WHOLE, asks, taken
from tests.sockets.peers import CHUNKED_OK, EVENTS, Peer, chunk, until
from tests.sockets.stage import Stage


def stage(**policy: object) -> Stage:
    timeouts = policy.pop("timeouts", None)
    return Stage(policy={"single_flight": {}, **policy}, timeouts=timeouts)  # type: ignore[arg-type]


async def two(stage: Stage, *requests: bytes) -> tuple[list[Peer], Peer]:
    """Clients that wait for one upstream call, and its other end."""
    clients = []
    for request in requests:
        clients.append(await stage.client())
        await clients[-1].sends(request)
    server = await stage.accepts()
    await taken(server)
    await until(lambda: stage.route.in_flight == len(requests))
    return clients, server


async def test_a_thousand_at_once_are_one() -> None:
    async with stage() as here:
        clients = [await here.client() for _ in range(1000)]
        for client in clients:
            await client.sends(asks())
        server = await here.accepts()
        head = await taken(server)
        assert b"\r\nAccept-Encoding: identity\r\n" in head
        await until(lambda: here.route.in_flight == 1000)
        await server.sends(WHOLE)
        replies = [await client.reply("POST") for client in clients]
        assert {reply.body for reply in replies} == {json.dumps(ANSWER).encode()}
        assert sum(here.endpoint.attempts.values()) == 1
        assert here.route.statuses == {200: 1000}
        # The tokens were used once.
        assert spent(here) == (3, 5)
        assert here.route.saved.calls == {"joined": 999}
        assert here.route.saved.tokens == {"input": 999 * 3, "output": 999 * 5}
        assert sorted(reply["x-sidecar-shared"] for reply in replies) == [""] + ["true"] * 999
        assert len({reply["x-request-id"] for reply in replies}) == 1000


def spent(here: Stage) -> tuple[int, int]:
    """Input and output tokens of the one model."""
    [counted] = here.route.models.spent.values()
    return counted.input, counted.output


DIFFERENT = [
    (asks(), asks({"messages": [1]})),
    (asks(), asks({"stream": True})),
    (asks(authorization="Bearer a"), asks(authorization="Bearer b")),
    (asks(x_api_key="a"), asks()),
    (asks(anthropic_version="1"), asks(anthropic_version="2")),
    (asks({"temperature": 1}), asks({"temperature": 1})),  # each wants its own
    (asks({"store": True}), asks({"store": True})),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
async def test_calls_that_differ_are_two(one: bytes, other: bytes) -> None:
    async with stage() as here:
        await both_are_carried(here, one, other)
        assert not here.route.saved.calls


async def both_are_carried(here: Stage, *requests: bytes) -> None:
    """Each of *requests* has an upstream call of its own, at the same time."""
    clients = [await here.client() for _ in requests]
    servers = []
    for client, request in zip(clients, requests, strict=True):
        await client.sends(request)
        servers.append(await here.accepts())
    for server in servers:
        await taken(server)
        await server.sends(WHOLE)
    for client in clients:
        assert (await client.reply("POST"))["x-sidecar-shared"] == ""


async def test_callers_share_if_that_is_said() -> None:
    async with stage(cache_key={"shared": True, "headers": ["x-team"]}) as here:
        requests = asks(authorization="Bearer a"), asks(authorization="Bearer b")
        clients, server = await two(here, *requests)
        await server.sends(WHOLE)
        for client in clients:
            assert (await client.reply("POST")).status == 200


async def test_a_stream_fans_out_and_who_joins_late_has_it_from_the_start() -> None:
    async with stage() as here:
        ask = asks({"stream": True})
        (one, other), server = await two(here, ask, ask)
        await server.sends(EVENTS + chunk(TEXT[0]))
        for client in (one, other):
            await client.until(TEXT[0])
        late = await here.client()
        await late.sends(ask)
        assert b"x-sidecar-shared: true" in await late.head()
        await late.until(TEXT[0])
        await server.sends(b"".join(map(chunk, TEXT[1:])) + END)
        for client in (one, other, late):
            assert (await client.until(END)).count(b"data: ") == 3
        await here.is_at_rest()
        assert here.route.verdicts == {"complete": 1}
        assert spent(here) == (3, 5)
        assert here.route.saved.calls == {"joined": 2}


async def test_who_has_begun_it_may_leave() -> None:
    async with stage() as here:
        ask = asks({"stream": True})
        (one, other), server = await two(here, ask, ask)
        await server.sends(EVENTS + chunk(TEXT[0]))
        await other.until(TEXT[0])
        one.closes()
        await until(lambda: here.route.errors == {"caller_left": 1})
        await server.sends(b"".join(map(chunk, TEXT[1:])) + END)
        await other.until(END)
        await here.is_at_rest()
        # Its tokens are in the record of the one that stayed.
        assert spent(here) == (3, 5)
        assert not here.route.saved.calls


async def test_when_the_last_has_left_the_upstream_is_let_go() -> None:
    async with stage() as here:
        (one, other), server = await two(here, asks(), asks())
        one.closes()
        other.closes()
        await server.is_cut()
        # Whoever comes now begins anew.
        again = await here.client()
        await again.sends(asks())
        server = await here.accepts()
        await taken(server)
        await server.sends(WHOLE)
        assert (await again.reply("POST"))["x-sidecar-shared"] == ""


async def test_an_error_is_shared_once() -> None:
    async with stage() as here:
        clients, server = await two(here, asks(), asks())
        server.closes()
        for client in clients:
            reply = await client.reply("POST")
            assert (reply.status, reply.code) == (502, "upstream_reset")
        await here.is_at_rest()
        assert sum(here.endpoint.attempts.values()) == 1
        client = await here.client()
        await client.sends(asks())
        server = await here.accepts()
        await taken(server)
        await server.sends(WHOLE)
        assert (await client.reply("POST")).status == 200


async def test_a_reply_that_breaks_breaks_for_all() -> None:
    async with stage() as here:
        ask = asks({"stream": True})
        clients, server = await two(here, ask, ask)
        await server.sends(EVENTS + chunk(TEXT[0]))
        for client in clients:
            await client.until(TEXT[0] + b"\r\n")
        server.closes()
        for client in clients:
            event = await client.until(b"}\n\n\r\n")
            assert json.loads(event.split(b"data: ")[1])["error"]["code"] == "upstream_truncated"
            await client.is_cut()


async def test_a_slow_reader_holds_nobody_and_is_cut_off() -> None:
    event = b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % (b"x" * 65536)
    async with stage(single_flight={"buffer": "1MiB"}) as here:
        ask = asks({"stream": True})
        slow = await here.client(window=4096)
        await slow.sends(ask)
        server = await here.accepts()
        await taken(server)
        fast = await here.client()
        await fast.sends(ask)
        await server.sends(EVENTS + chunk(TEXT[0]))
        await fast.until(TEXT[0])
        reading = here.begins(fast.drains(100 * len(event)))
        for _ in range(100):
            await server.sends(chunk(event))
        await server.sends(chunk(TEXT[-1]) + END)
        await reading
        await fast.until(END)
        await slow.is_cut()
        assert here.route.errors == {"caller_stalled": 1}


async def test_a_lone_slow_reader_slows_the_upstream() -> None:
    async with stage() as here:
        slow = await here.client(window=4096)
        await slow.sends(asks({"stream": True}))
        server = await here.accepts()
        await taken(server)
        await server.sends(EVENTS)
        data = chunk(b"data: " + b"x" * 1000 + b"\n\n")
        await server.floods(data)
        slow.closes()
        await server.is_cut()


async def test_each_caller_has_its_own_deadline() -> None:
    async with stage(timeouts={"total": "1h"}) as here:
        here.config["listeners"][0]["trust"] = {"headers": True}
        await here.apply()
        (patient,), server = await two(here, asks())
        hasty = await here.client()
        # Another timeout is another call: what one is told must not end the other's.
        await hasty.sends(asks(x_sidecar_timeout="1ms"))
        assert (await hasty.reply("POST")).code == "total_timeout"
        await server.sends(WHOLE)
        assert (await patient.reply("POST")).status == 200


async def test_a_reload_leaves_a_shared_call_alone() -> None:
    async with stage() as here:
        clients, server = await two(here, asks(), asks())
        await here.apply()
        await server.sends(CHUNKED_OK + chunk(b"{}") + END)
        for client in clients:
            assert (await client.reply("POST")).body == b"{}"


async def test_without_it_nothing_is_shared() -> None:
    async with Stage() as here:
        await both_are_carried(here, asks(), asks())
