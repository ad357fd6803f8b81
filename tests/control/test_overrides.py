"""What an operator says of endpoints at run time, through the admin server, to a live sidecar."""

from __future__ import annotations

import json
import logging
from typing import Any, Self
from urllib.parse import urlencode

import pytest

from sidecar.control.admin import AdminServer
from sidecar.control.inspection import Inspection
from sidecar.control.reload import Reloader
from sidecar.control.sources.fixed import FixedSource
from tests.sockets.peers import Reply, until
from tests.sockets.scripted import Fleet, Scripted, chat, status
from tests.upstream.names import Names

POLICY = {"retry": {"max": 0}, "breaker": {"min_calls": 2, "open": "60s"}}


class Operated(Fleet):
    """A fleet with an admin server."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        inspection = Inspection(self.serving, Reloader([FixedSource()], self.serving), lambda: None)
        self.admin = AdminServer(inspection, "127.0.0.1:0", None)
        self.admin.start()
        return self

    async def __aexit__(self, kind: object, *rest: object) -> None:
        self.admin.stop()
        await super().__aexit__(kind, *rest)

    async def asks_admin(self, method: str, path: str) -> Reply:
        peer = await self.connects(("127.0.0.1", self.admin.port("admin")))
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        await peer.sends(head.encode())
        reply = await peer.reply()
        peer.closes()
        return reply

    async def says(self, what: str, server: Scripted | str, **query: str) -> Any:
        """Say it of a server's endpoint; what it is then."""
        name = server if isinstance(server, str) else server.url
        words = urlencode({"upstream": "u", "endpoint": name, **query})
        reply = await self.asks_admin("POST", f"/upstreams/{what}?{words}")
        assert reply.status == 200, reply.body
        return json.loads(reply.body)

    async def shown(self, index: int = 0) -> Any:
        """An endpoint on /upstreams."""
        reply = await self.asks_admin("GET", "/upstreams")
        return json.loads(reply.body)[0]["endpoints"][index]

    async def counts(self, calls: int = 12) -> list[int]:
        """How many of so many calls each server gets."""
        before = [server.calls for server in self.fleet]
        client = await self.client()
        for _ in range(calls):
            await self.gets(chat(), client)
        return [s.calls - was for s, was in zip(self.fleet, before, strict=True)]

    def lists(self, *servers: Scripted) -> None:
        """The file's endpoints."""
        self.config["upstreams"]["u"]["endpoints"] = [{"url": s.url} for s in servers]


def said(weight: float | None = None, drained: bool = False, breaker: str | None = None) -> Any:
    return {"weight": weight, "drained": drained, "breaker": breaker}


async def test_a_weight_holds_from_the_next_pick_on() -> None:
    one, two = Scripted("one"), Scripted("two")
    async with Operated(one, two) as stage:
        assert await stage.counts() == [6, 6]
        shown = await stage.says("weight", one, weight="3")
        assert (shown["name"], shown["weight"], shown["override"]) == (one.url, 3, said(3))
        assert await stage.counts() == [9, 3]
        await stage.says("weight", one, weight="0")
        assert await stage.counts() == [0, 12]
        shown = await stage.says("weight", one, weight="auto")
        assert (shown["weight"], shown["override"]) == (1, None)
        assert await stage.counts() == [6, 6]


async def test_a_drained_endpoint_ends_what_it_has_and_gets_no_more() -> None:
    one, two = Scripted("one", "wait"), Scripted("two")
    async with Operated(one, two) as stage:
        calls = [stage.begins(stage.gets(chat())) for _ in range(2)]
        await until(lambda: one.calls)
        assert (await stage.says("drain", one))["override"] == said(drained=True)
        assert await stage.counts() == [0, 12]
        one.gate.set()
        assert sorted([(await call)[1] for call in calls]) == [b"one", b"two"]
        assert (await stage.says("undrain", one))["override"] is None
        assert await stage.counts() == [6, 6]


async def test_when_every_endpoint_is_drained_calls_are_refused() -> None:
    one = Scripted("one")
    async with Operated(one) as stage:
        await stage.says("drain", one)
        assert (await stage.gets(chat()))[2].code == "no_healthy_endpoint"
        await stage.says("undrain", one)
        assert (await stage.gets(chat()))[0] == 200


async def test_a_breaker_held_open_and_let_go() -> None:
    one, two = Scripted("one"), Scripted("two")
    async with Operated(one, two, policy=POLICY) as stage:
        assert await stage.counts() == [6, 6]
        await stage.says("breaker", one, state="open")
        assert await stage.counts() == [0, 12]
        shown = await stage.shown()
        assert shown["override"] == said(breaker="open")
        breaker = shown["breakers"]["default"]
        assert (breaker["state"], breaker["forced"], breaker["until"]) == ("open", "open", None)
        await stage.says("breaker", one, state="auto")
        assert await stage.counts() == [6, 6]
        shown = await stage.shown()
        assert (shown["override"], shown["breakers"]["default"]["state"]) == (None, "closed")


async def test_a_breaker_held_closed_takes_whatever_comes() -> None:
    bad, well = Scripted("bad", always=status(500)), Scripted("well")
    async with Operated(bad, well, policy=POLICY) as stage:
        assert (await stage.counts())[0] == 2  # it opened
        await stage.says("breaker", bad, state="closed")
        assert await stage.counts() == [6, 6]
        shown = (await stage.shown())["breakers"]["default"]
        assert (shown["state"], shown["forced"], shown["failure_rate"]) == ("closed", "closed", 1)
        await stage.says("breaker", bad, state="auto")
        assert (await stage.counts())[0] == 2


async def test_a_breaker_can_be_held_before_there_is_one() -> None:
    bad, well = Scripted("bad", always=status(500)), Scripted("well")
    async with Operated(bad, well, policy=POLICY) as stage:
        await stage.says("breaker", bad, state="closed")
        assert await stage.counts() == [6, 6]


async def test_what_was_said_adds_up_and_is_cleared_one_by_one() -> None:
    one, two = Scripted("one"), Scripted("two")
    async with Operated(one, two) as stage:
        await stage.says("weight", one, weight="3")
        await stage.says("drain", one)
        await stage.says("breaker", one, state="closed")
        assert (await stage.shown())["override"] == said(3, True, "closed")
        await stage.says("undrain", one)
        assert await stage.counts() == [9, 3]
        await stage.says("breaker", one, state="auto")
        await stage.says("weight", one, weight="auto")
        assert (await stage.shown())["override"] is None


async def test_a_reload_leaves_it_alone() -> None:
    one, two = Scripted("one"), Scripted("two")
    async with Operated(one, two) as stage:
        await stage.says("weight", one, weight="3")
        stage.config["upstreams"]["u"]["endpoints"][0]["weight"] = 7
        await stage.apply()
        assert (await stage.shown())["weight"] == 3
        assert await stage.counts() == [9, 3]
        await stage.says("weight", one, weight="auto")
        assert (await stage.shown())["weight"] == 7


@pytest.mark.parametrize("what", [("drain", {}), ("breaker", {"state": "open"})])
async def test_it_waits_for_an_endpoint_that_is_away(what: tuple[str, dict[str, str]]) -> None:
    one, two = Scripted("one"), Scripted("two")
    async with Operated(one, two) as stage:
        assert (await stage.says(what[0], one, **what[1]))["name"] == one.url
        stage.lists(two)
        await stage.apply()
        assert (await stage.shown())["name"] == two.url
        stage.lists(one, two)
        await stage.apply()
        assert await stage.counts() == [0, 12]
        assert (await stage.shown())["override"] is not None


async def test_an_endpoint_that_is_away_can_be_cleared() -> None:
    one, two = Scripted("one"), Scripted("two")
    async with Operated(one, two) as stage:
        await stage.says("drain", one)
        stage.lists(two)
        await stage.apply()
        assert await stage.says("undrain", one) == {"name": one.url, "override": None}
        stage.lists(one, two)
        await stage.apply()
        assert await stage.counts() == [6, 6]


async def test_it_waits_for_an_address_that_is_away() -> None:
    one = Scripted("one")
    names = Names(llm=["127.0.0.1"])
    url = f"http://llm:{one.port}"
    upstreams = {"u": {"endpoints": [{"dns": url}], "dns_refresh": "100ms"}}
    async with Operated(one, upstreams=upstreams) as stage:
        assert (await stage.gets(chat()))[0] == 200
        await stage.says("drain", f"{url}@127.0.0.1")
        assert (await stage.gets(chat()))[2].code == "no_healthy_endpoint"
        names.answers["llm"] = ["127.0.0.2"]
        await until(lambda: [e.origin.host for e in stage.endpoints] == ["127.0.0.2"])
        names.answers["llm"] = ["127.0.0.1"]
        await until(lambda: [e.origin.host for e in stage.endpoints] == ["127.0.0.1"])
        assert (await stage.gets(chat()))[2].code == "no_healthy_endpoint"
        await stage.says("undrain", f"{url}@127.0.0.1")
        assert (await stage.gets(chat()))[0] == 200


async def test_only_what_there_is_can_be_spoken_of(caplog: pytest.LogCaptureFixture) -> None:
    one = Scripted("one")
    async with Operated(one) as stage:
        for query, expected, code in [
            ("drain?upstream=v&endpoint=x", 404, "no_such_endpoint"),
            ("drain?upstream=u&endpoint=x", 404, "no_such_endpoint"),
            (f"weight?upstream=u&endpoint={one.url}&weight=1001", 400, "bad_weight"),
            (f"weight?upstream=u&endpoint={one.url}&weight=nan", 400, "bad_weight"),
            (f"breaker?upstream=u&endpoint={one.url}&state=half_open", 400, "bad_state"),
        ]:
            reply = await stage.asks_admin("POST", f"/upstreams/{query}")
            assert (reply.status, json.loads(reply.body)["error"]["code"]) == (expected, code)
        assert (await stage.asks_admin("GET", "/upstreams/drain")).status == 405
        assert (await stage.shown())["override"] is None
        with caplog.at_level(logging.INFO, "sidecar"):
            await stage.says("drain", one)
        record = next(
            r
            for r in caplog.records
            if r.getMessage() == "an operator overrode an endpoint's settings"
        )
        assert record.__dict__["drained"] is True
