"""Each way of choosing an endpoint, over sockets: does it do what it says?"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.sockets.peers import ok, until
from tests.sockets.scripted import Fleet, Scripted, chat
from tests.sockets.stage import Stage
from tests.upstream.names import Names


def endpoints(*servers: Scripted, **more: Any) -> dict[str, Any]:
    return {"u": {"endpoints": [{"url": server.url} for server in servers], **more}}


async def counts(stage: Fleet, calls: int) -> list[int]:
    """How many of so many calls, one after another, each server gets."""
    before = [server.calls for server in stage.fleet]
    client = await stage.client()
    for _ in range(calls):
        assert (await stage.gets(chat(), client))[0] == 200
    return [s.calls - was for s, was in zip(stage.fleet, before, strict=True)]


async def test_round_robin_goes_by_weight_from_one_call_to_the_next() -> None:
    one, two = Scripted("one"), Scripted("two")
    known = endpoints(one, two)
    known["u"]["endpoints"][0]["weight"] = 2
    async with Fleet(one, two, upstreams=known) as stage:
        assert await counts(stage, 30) == [20, 10]
        stage.config["upstreams"]["u"]["endpoints"][1]["weight"] = 6
        await stage.apply()
        assert (await counts(stage, 40))[0] == pytest.approx(10, abs=1)


async def test_least_conn_avoids_the_busy_one() -> None:
    one, two = Scripted("one", "wait"), Scripted("two", "wait")
    async with Fleet(one, two, upstream={"balance": "least_conn"}) as stage:
        call = stage.begins(stage.gets(chat()))
        await until(lambda: one.calls or two.calls)
        busy, free = (one, two) if one.calls else (two, one)
        free.acts = []
        assert sorted(await counts(stage, 10)) == [0, 10]
        assert busy.calls == 1
        busy.gate.set()
        assert (await call)[0] == 200


@pytest.mark.parametrize(
    ("on", "line"), [("header", b"x-user: %d"), ("cookie", b"Cookie: a=b; x-user=%d")]
)
async def test_ip_hash_keeps_a_caller_on_one_endpoint(on: str, line: bytes) -> None:
    servers = [Scripted(str(n)) for n in range(3)]
    balance = {"method": "ip_hash", "hash_on": on, "name": "x-user"}
    async with Fleet(*servers, upstream={"balance": balance}) as stage:
        seen: dict[int, set[bytes]] = {}
        for user in [*range(20)] * 3:
            seen.setdefault(user, set()).add((await stage.gets(chat("m", line % user)))[1])
        assert {len(names) for names in seen.values()} == {1}
        assert len(set.union(*seen.values())) > 1


async def test_ip_hash_moves_only_the_callers_of_an_endpoint_that_goes() -> None:
    servers = [Scripted(str(n)) for n in range(3)]
    balance = {"method": "ip_hash", "hash_on": "header", "name": "x-user"}
    async with Fleet(*servers, upstream={"balance": balance}) as stage:

        async def where() -> list[bytes]:
            return [(await stage.gets(chat("m", b"x-user: %d" % n)))[1] for n in range(30)]

        before = await where()
        stage.config["upstreams"]["u"]["endpoints"].pop(0)
        await stage.apply()
        after = await where()
        stayed = [(was, now) for was, now in zip(before, after, strict=True) if was != b"0"]
        assert stayed
        assert all(was == now for was, now in stayed)


async def test_dynamic_avoids_the_slow_one() -> None:
    one, two = Scripted("one", "wait"), Scripted("two", "wait")
    async with Fleet(one, two, upstream={"balance": "dynamic"}) as stage:
        calls = [stage.begins(stage.gets(chat())) for _ in range(2)]
        await until(lambda: one.calls and two.calls)
        two.gate.set()
        await asyncio.sleep(0.2)
        one.gate.set()
        for call in calls:
            assert (await call)[0] == 200
        slow, quick = await counts(stage, 20)
        assert slow < quick


@pytest.mark.parametrize("use", ["cpu_utilization=0.95", "named_metrics.kv_cache_utilization=1"])
async def test_what_replies_say_of_load_steers_dynamic(use: str) -> None:
    full, free = Scripted("full"), Scripted("free")
    full.always = ok(b"full", b"endpoint-load-metrics: TEXT " + use.encode())
    free.always = ok(b"free", b"endpoint-load-metrics: TEXT cpu_utilization=0.01")
    load = {"orca": True, "path": None}
    async with Fleet(full, free, upstream={"balance": "dynamic", "load": load}) as stage:
        while not (full.calls and free.calls):
            for endpoint in stage.endpoints:  # until it has answered, each may be the one
                endpoint.load.latency = 0.0
            assert (await stage.gets(chat()))[0] == 200
        reports = [endpoint.load.reported for endpoint in stage.endpoints]
        assert all(reports)
        for endpoint in stage.endpoints:  # how long they took is the machine's affair
            endpoint.load.latency = 0.01
        few, many = await counts(stage, 5)
        assert few < many


def turns(topic: int) -> list[list[dict[str, str]]]:
    """A conversation, as its calls grow with it."""
    said = [{"role": "system", "content": "be brief"}]
    grown = []
    for number in range(3):
        said = [*said, {"role": "user", "content": f"question {number} about {topic}"}]
        grown.append(said)
        said = [*said, {"role": "assistant", "content": "well"}]
    return grown


async def test_prefix_sends_a_conversation_to_one_endpoint_from_any_sidecar() -> None:
    servers = [Scripted(str(n)) for n in range(3)]
    first = Fleet(*servers, upstream={"balance": "prefix"})
    known = endpoints(*reversed(servers), balance="prefix")
    second = Stage(servers=servers, upstreams=known)
    second.tasks = first.tasks
    async with first, second:
        used = set()
        for topic in range(12):
            went = set()
            for number, messages in enumerate(turns(topic)):
                client = await (first, second)[number % 2].client()
                await client.sends(chat(messages=messages))
                went.add((await client.reply()).body)
            assert len(went) == 1
            used |= went
        assert len(used) > 1
        for server in servers:  # they hold connections of both
            server.stops()


async def test_a_hash_passes_over_an_endpoint_that_is_full() -> None:
    one, two = Scripted("one", always="wait"), Scripted("two", always="wait")
    async with Fleet(one, two, upstream={"balance": "prefix"}) as stage:
        words = [{"role": "user", "content": "the same"}]
        calls = [stage.begins(stage.gets(chat(messages=words))) for _ in range(40)]
        await until(lambda: one.calls + two.calls == 40)
        assert max(one.calls, two.calls) <= 30  # 125 % of a half, and sqrt(20)
        one.gate.set()
        two.gate.set()
        for call in calls:
            assert (await call)[0] == 200


async def test_a_new_endpoint_starts_slowly() -> None:
    old, new = Scripted("old"), Scripted("new")
    balance = {"method": "round_robin", "slow_start": "1h"}
    async with Fleet(old, new, upstreams=endpoints(old, balance=balance)) as stage:
        stage.endpoints[0].load.since -= 7200
        stage.config["upstreams"] = endpoints(old, new, balance=balance)
        await stage.apply()
        most, few = await counts(stage, 44)
        assert most + few == 44
        assert 3 <= few <= 5  # a tenth of the weight: one of eleven


# -- names --


async def test_addresses_come_and_go_and_leave_others_alone() -> None:
    one = Scripted("one", "wait", host="0.0.0.0")
    names = Names(llm=["127.0.0.1"])
    known = {"u": {"endpoints": [{"dns": f"http://llm:{one.port}"}], "dns_refresh": "100ms"}}
    async with Fleet(one, upstreams=known) as stage:

        def hosts() -> list[str]:
            return sorted(endpoint.origin.host for endpoint in stage.endpoints)

        call = stage.begins(stage.gets(chat()))
        await until(lambda: one.calls)
        first = stage.endpoints[0]
        names.answers["llm"] = ["127.0.0.1", "127.0.0.2"]
        await until(lambda: hosts() == ["127.0.0.1", "127.0.0.2"])
        assert await counts(stage, 4) == [4]
        other = next(e for e in stage.endpoints if e is not first)
        assert (first.stats.connects, other.stats.attempts[200]) == (2, 2)
        names.answers["llm"] = ["127.0.0.1"]
        await until(lambda: hosts() == ["127.0.0.1"])
        assert stage.endpoints == [first]
        one.gate.set()
        assert (await call)[:2] == (200, b"one")
        assert await counts(stage, 4) == [4]
        assert (first.stats.connects, first.stats.attempts[200]) == (2, 7)
        assert json.loads(one.requests[-1].partition(b"\r\n\r\n")[2])["model"] == "m"
