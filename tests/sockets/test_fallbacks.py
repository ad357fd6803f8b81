"""Other upstreams and models: fallbacks, aliases, splits, mirrors, labels."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.sockets.peers import Peer, until
from tests.sockets.scripted import Fleet, Scripted, chat, status


def upstreams(**servers: Scripted | tuple[Scripted, ...]) -> dict[str, Any]:
    listed = {k: v if isinstance(v, tuple) else (v,) for k, v in servers.items()}
    return {name: {"endpoints": [{"url": s.url} for s in of]} for name, of in listed.items()}


def fleet(route: dict[str, Any], *servers: Scripted, **sections: Any) -> Fleet:
    """One upstream for each server, called by its name; the route goes to the first."""
    routes = [{"name": "r", "upstream": servers[0].name, **route}]
    known = upstreams(**{server.name: server for server in servers})
    for name, more in sections.pop("more", {}).items():
        known[name] |= more
    return Fleet(*servers, upstreams=known, routes=routes, **sections)


def asked(server: Scripted) -> list[Any]:
    """The models that a server was asked for."""
    return [json.loads(sent.partition(b"\r\n\r\n")[2])["model"] for sent in server.requests]


# -- fallback --

TO_B = {"fallback": [{"upstream": "b"}]}
NO_RETRY = {"retry": {"max": 0}}


@pytest.mark.parametrize("act", [status(500), status(429), "reset", "hang"])
async def test_another_upstream_is_asked(act: Any) -> None:
    a, b = Scripted("a", always=act), Scripted("b")
    async with fleet(TO_B, a, b, policy=NO_RETRY, timeouts={"first_byte": "50ms"}) as stage:
        assert (await stage.gets(chat()))[:2] == (200, b"b")
        assert (a.calls, b.calls) == (1, 1)
        assert stage.route.fallbacks == {"b": 1}


async def test_an_upstream_that_is_out_is_not_asked_while_there_is_another() -> None:
    a, b = Scripted("a", always=status(500)), Scripted("b")
    policy = NO_RETRY | {"breaker": {"min_calls": 4, "open": "1h", "open_max": "1h"}}
    async with fleet(TO_B, a, b, policy=policy) as stage:
        for _ in range(10):
            assert (await stage.gets(chat()))[:2] == (200, b"b")
        assert a.calls == 4
        assert not any(stage.stats.upstreams["a"].panic.values())
        b.always = status(503)  # nobody is left after it: it is asked for better or worse
        for _ in range(14):
            assert (await stage.gets(chat()))[0] == 503
        assert (a.calls, b.calls) == (4, 24)
        assert any(stage.stats.upstreams["b"].panic.values())


async def test_one_that_is_out_comes_back_by_trials() -> None:
    a, b = Scripted("a", *[status(500)] * 4), Scripted("b")
    policy = NO_RETRY | {"breaker": {"min_calls": 4, "open": "50ms", "trials": 1}}
    async with fleet(TO_B, a, b, policy=policy) as stage:
        for _ in range(4):
            assert (await stage.gets(chat()))[:2] == (200, b"b")
        assert (await stage.gets(chat()))[:2] == (200, b"b")
        assert a.calls == 4
        await asyncio.sleep(0.1)
        assert (await stage.gets(chat()))[:2] == (200, b"a")


async def test_a_large_body_falls_back_too_while_nothing_of_it_was_sent() -> None:
    a, b = Scripted("a", always=status(500)), Scripted("b")
    policy = NO_RETRY | {
        "hold": "1KiB",
        "breaker": {"min_calls": 1, "open": "1h", "open_max": "1h"},
    }
    async with fleet(TO_B, a, b, policy=policy) as stage:
        assert (await stage.gets(chat()))[:2] == (200, b"b")
        assert (await stage.gets(chat(content="x" * 5000)))[:2] == (200, b"b")
        assert (a.calls, b.calls) == (1, 2)


async def test_retries_come_before_the_fallback() -> None:
    a, b = Scripted("a", always=status(500)), Scripted("b", always=status(503))
    async with fleet(TO_B, a, b) as stage:
        assert (await stage.gets(chat()))[0] == 503
        assert (a.calls, b.calls) == (3, 3)


async def test_what_the_caller_caused_is_not_asked_elsewhere() -> None:
    a, b = Scripted("a", always=status(400)), Scripted("b")
    async with fleet(TO_B, a, b) as stage:
        assert (await stage.gets(chat()))[0] == 400
        assert b.calls == 0


async def test_fallback_on_says_what_is_worth_it() -> None:
    a, b = Scripted("a", status(500), status(404)), Scripted("b")
    async with fleet(TO_B | {"fallback_on": ["404"]}, a, b, policy=NO_RETRY) as stage:
        assert (await stage.gets(chat()))[0] == 500
        assert (await stage.gets(chat()))[:2] == (200, b"b")


async def test_each_fallback_asks_for_its_model_and_has_its_credentials() -> None:
    a, b, c = (Scripted(name, always=status(500)) for name in "abc")
    c.always = None
    route = {"model": "one", "fallback": [{"upstream": "b", "model": "two"}, {"upstream": "c"}]}
    more = {"b": {"credentials": {"header": "authorization", "value": "Bearer b"}}}
    async with fleet(route, a, b, c, policy=NO_RETRY, more=more) as stage:
        request = chat("alias", b"Authorization: Bearer mine", note="alias")
        assert (await stage.gets(request))[:2] == (200, b"c")
        assert [asked(a), asked(b), asked(c)] == [["one"], ["two"], ["alias"]]
        assert [b"Bearer b" in server.requests[0] for server in (a, b, c)] == [False, True, False]
        assert c.requests[0].endswith(request.partition(b"\r\n\r\n")[2])


async def test_the_last_failure_is_the_callers() -> None:
    a, b = Scripted("a", always="reset"), Scripted("b", always=status(503, body=b"b is down"))
    async with fleet(TO_B, a, b, policy=NO_RETRY) as stage:
        assert (await stage.gets(chat()))[:2] == (503, b"b is down")


# -- aliases --


async def test_an_alias_with_a_longer_name_is_framed_anew() -> None:
    a = Scripted("a")
    async with fleet({"model": "a-much-longer-name-than-the-alias"}, a) as stage:
        client = await stage.client()
        for _ in range(2):
            assert (await stage.gets(chat("m"), client))[0] == 200
        assert asked(a) == ["a-much-longer-name-than-the-alias"] * 2


async def test_a_call_without_a_model_goes_as_it_is() -> None:
    a = Scripted("a")
    head = b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    request = head + b"Content-Length: 2\r\n\r\n{}"
    async with fleet({"model": "x"}, a) as stage:
        assert (await stage.gets(request))[0] == 200
        assert a.requests[0].endswith(b"\r\n\r\n{}")


# -- splits --


async def test_a_split_gives_each_its_share() -> None:
    a, b = Scripted("a"), Scripted("b")
    async with fleet({"split": [{"upstream": "b", "share": "30%", "model": "new"}]}, a, b) as stage:
        client = await stage.client()
        for _ in range(200):
            await stage.gets(chat(), client)
        assert 30 <= b.calls <= 90  # six deviations
        assert a.calls + b.calls == 200
        assert (set(asked(a)), set(asked(b))) == ({"m"}, {"new"})


async def test_a_sticky_split_keeps_a_caller_on_its_side() -> None:
    a, b = Scripted("a"), Scripted("b")
    route = {
        "split": [{"upstream": "b", "share": "50%"}],
        "sticky": {"by": "header", "name": "x-user"},
    }
    async with fleet(route, a, b) as stage:
        sides: dict[int, set[bytes]] = {}
        for _ in range(3):
            for user in range(20):
                _, body, _ = await stage.gets(chat("m", b"x-user: %d" % user))
                sides.setdefault(user, set()).add(body)
        assert all(len(side) == 1 for side in sides.values())
        assert len({next(iter(side)) for side in sides.values()}) == 2


async def test_a_canary_that_fails_goes_to_the_fallback() -> None:
    a, b = Scripted("a"), Scripted("b", always=status(500))
    route = {"split": [{"upstream": "b", "share": "99%"}], "fallback": [{"upstream": "a"}]}
    async with fleet(route, a, b, policy=NO_RETRY) as stage:
        for _ in range(10):
            assert (await stage.gets(chat()))[:2] == (200, b"a")
        assert b.calls > 0


# -- mirrors --


async def test_a_mirror_gets_copies_whose_failures_touch_nothing() -> None:
    a, b = Scripted("a"), Scripted("b", "reset", status(500), "hang")
    route = {"mirror": {"upstream": "b", "model": "shadow"}}
    async with fleet(route, a, b, timeouts={"first_byte": "50ms"}) as stage:
        client = await stage.client()
        for _ in range(4):
            assert (await stage.gets(chat(), client))[:2] == (200, b"a")
        await until(lambda: sum(stage.route.mirrored.values()) == 4)
        assert asked(b) == ["shadow"] * 4
        assert sorted(stage.route.mirrored) == [
            "200", "500", "first_byte_timeout", "upstream_reset",
        ]  # fmt: skip
        assert (stage.route.statuses, stage.route.errors) == ({200: 4}, {})


async def test_a_slow_mirror_gets_fewer_copies() -> None:
    a, b = Scripted("a"), Scripted("b", always="wait")
    route = {"mirror": {"upstream": "b", "max_in_flight": 2}}
    async with fleet(route, a, b) as stage:
        for _ in range(5):
            assert (await stage.gets(chat()))[0] == 200
        await until(lambda: b.calls == 2)
        assert stage.route.mirrored == {"skipped": 3}
        b.gate.set()
        await until(lambda: stage.route.mirrored == {"skipped": 3, "200": 2})


async def test_a_mirror_outlives_a_caller_that_leaves() -> None:
    a, b = Scripted("a", always="hang"), Scripted("b", always="wait")
    async with fleet({"mirror": {"upstream": "b"}}, a, b) as stage:
        client = await stage.client()
        await client.sends(chat())
        await until(lambda: a.calls and b.calls)
        client.closes()
        await until(lambda: a.broken)
        b.gate.set()
        await until(lambda: stage.route.mirrored == {"200": 1})


# -- labels --


def labelled(one: Scripted, two: Scripted) -> dict[str, Any]:
    labels = [{"version": "v1"}, {"version": "v2", "gpu": "h100"}]
    endpoints = [{"url": s.url, "labels": of} for s, of in zip((one, two), labels, strict=True)]
    return {"u": {"endpoints": endpoints}}


@pytest.mark.parametrize(
    ("wanted", "missing", "got"),
    [
        ({"version": "v2"}, "error", {b"two"}),
        ({"version": "v1"}, "error", {b"one"}),
        ({"version": "v2", "gpu": "h100"}, "error", {b"two"}),
        ({"version": "v3"}, "any", {b"one", b"two"}),
        ({}, "error", {b"one", b"two"}),
    ],
)
async def test_labels_choose(wanted: dict[str, str], missing: str, got: set[bytes]) -> None:
    one, two = Scripted("one"), Scripted("two")
    routes = [{"upstream": "u", "labels": wanted, "labels_missing": missing}]
    async with Fleet(one, two, upstreams=labelled(one, two), routes=routes) as stage:
        assert {(await stage.gets(chat()))[1] for _ in range(6)} == got


TRUSTED = {"trust": {"headers": True}}
V3 = b"x-sidecar-labels: version=v3"


async def test_labels_that_nobody_has_are_a_clear_error() -> None:
    one, two = Scripted("one"), Scripted("two")
    routes = [{"upstream": "u"}]
    known = labelled(one, two)
    async with Fleet(one, two, upstreams=known, routes=routes, listener=TRUSTED) as stage:
        got, body, reply = await stage.gets(chat("m", V3))
        assert (got, reply.code) == (503, "no_matching_endpoint")
        assert "version=v3" in json.loads(body)["error"]["message"]


async def test_labels_that_nobody_has_lead_to_the_fallback() -> None:
    one, two, b = Scripted("one"), Scripted("two"), Scripted("b")
    routes = [{"upstream": "u", "fallback": [{"upstream": "b"}]}]
    known = labelled(one, two) | upstreams(b=b)
    known["b"]["endpoints"][0]["labels"] = {"version": "v3"}
    async with Fleet(one, two, b, upstreams=known, routes=routes, listener=TRUSTED) as stage:
        assert (await stage.gets(chat("m", V3)))[:2] == (200, b"b")


async def test_new_labels_hold_from_the_next_call() -> None:
    one, two = Scripted("one"), Scripted("two")
    routes = [{"upstream": "u", "labels": {"version": "v2"}}]
    async with Fleet(one, two, upstreams=labelled(one, two), routes=routes) as stage:
        client: Peer = await stage.client()
        assert (await stage.gets(chat(), client))[1] == b"two"
        first, second = stage.config["upstreams"]["u"]["endpoints"]
        first["labels"], second["labels"] = second["labels"], first["labels"]
        await stage.apply()
        assert (await stage.gets(chat(), client))[1] == b"one"
