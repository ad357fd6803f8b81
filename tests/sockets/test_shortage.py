"""No descriptors left: callers are told, endpoints are not blamed, and nothing is lost."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from sidecar.observe import shortage
from sidecar.upstream.connect import descriptors
from sidecar.upstream.connect.descriptors import Ceilings
from tests.sockets.peers import CHUNKED_OK, GET, OK, chunk, until
from tests.sockets.stage import Stage

ENDLESS = 10**9


def leave(
    monkeypatch: pytest.MonkeyPatch, *, accepted: int = ENDLESS, dialled: int = ENDLESS
) -> None:
    """So many descriptors are left to each."""
    monkeypatch.setattr(descriptors, "ceilings", Ceilings(accepted, dialled))


async def test_a_caller_too_many_is_told_and_leaves_its_descriptor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Stage() as stage:
        first, server = await stage.call()
        before = shortage.counts["listener"]
        leave(monkeypatch, accepted=0)
        second = await stage.client()
        reply = await second.reply()
        assert (reply.status, reply.code) == (503, "out_of_resources")
        await second.ends()
        assert stage.stats.listeners["127.0.0.1:0"].refused == {503: 1}
        assert shortage.counts["listener"] == before + 1
        await until(lambda: stage.stats.listeners["127.0.0.1:0"].open == 1)
        await server.sends(OK)  # those that are here go on
        assert (await first.reply()).body == b"ok"


async def test_an_interceptor_turns_it_away_too(monkeypatch: pytest.MonkeyPatch) -> None:
    listeners = [{"mode": "forward", "address": "127.0.0.1:0"}]
    async with Stage(listeners=listeners) as stage:
        leave(monkeypatch, accepted=0)
        with contextlib.suppress(ConnectionResetError):
            client = await stage.client()
            await client.is_cut()
        assert stage.stats.listeners["127.0.0.1:0"].refused == {503: 1}


async def test_no_endpoint_is_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = {
        "breaker": {"min_calls": 1},
        "retry": {"max": 1, "budget": {"ratio": "0%", "min_per_second": 0}},
    }
    async with Stage(policy=policy) as stage:
        before = shortage.counts["endpoint"]
        leave(monkeypatch, dialled=0)
        client = await stage.client()
        await client.sends(GET)
        reply = await client.reply()
        assert (reply.status, reply.code) == (503, "out_of_resources")
        assert "no file descriptors left" in json.loads(reply.body)["error"]["message"]
        assert reply["x-should-retry"] == ""
        assert shortage.counts["endpoint"] == before + 2
        assert not stage.endpoint.transitions
        leave(monkeypatch)
        await stage.answered(client)


async def test_calls_wait_for_connections_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Stage() as stage:
        first, server = await stage.call()
        await server.sends(CHUNKED_OK + chunk(b"a"))
        await first.until(b"a")
        leave(monkeypatch, dialled=0)
        others: list[Any] = [await stage.client() for _ in range(3)]
        for other in others:
            await other.sends(GET)
        await until(lambda: stage.endpoint.waiting == 3)
        await server.sends(b"0\r\n\r\n")
        for other in others:
            await server.head()
            await server.sends(OK)
            assert (await other.reply()).body == b"ok"
        assert stage.endpoint.connects == 1
