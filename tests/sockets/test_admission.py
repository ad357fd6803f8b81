"""The line in front of an upstream, and the limits of routes and clients."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.sockets.peers import EVENTS, Peer, chunk, until
from tests.sockets.scripted import Fleet, Scripted, chat, status


def line(**admission: Any) -> dict[str, Any]:
    return {"admission": {"max_in_flight": 1, **admission}}


TRUSTED = {"trust": {"headers": True}}


async def waiting(stage: Fleet, *requests: bytes) -> list[Peer]:
    """A client for each request, which come one after another: the first goes, the others wait."""
    clients = []
    for number, request in enumerate(requests):
        client = await stage.client()
        await client.sends(request)
        await until(lambda number=number: stage.line.in_flight + stage.line.queued == number + 1)  # type: ignore[misc]
        clients.append(client)
    return clients


async def test_who_waits_is_served_in_order() -> None:
    one = Scripted("one", "wait")
    async with Fleet(one, upstream=line()) as stage:
        clients = await waiting(stage, *(chat(str(n)) for n in range(4)))
        assert (one.calls, stage.line.queued) == (1, 3)
        one.gate.set()
        for client in clients:
            assert (await client.reply()).status == 200
        asked = [json.loads(sent.partition(b"\r\n\r\n")[2])["model"] for sent in one.requests]
        assert asked == ["0", "1", "2", "3"]
        assert sum(stage.stats.upstreams["u"].queue_wait.counts) == 3


async def test_priority_goes_first() -> None:
    one = Scripted("one", "wait")
    async with Fleet(one, upstream=line(), listener=TRUSTED) as stage:
        said = [b"x-sidecar-priority: " + word for word in (b"low", b"normal", b"high")]
        clients = await waiting(stage, chat("0"), *(chat(line.decode(), line) for line in said))
        one.gate.set()
        for client in clients:
            await client.reply()
        asked = [json.loads(sent.partition(b"\r\n\r\n")[2])["model"] for sent in one.requests]
        assert [word.rpartition(" ")[2] for word in asked] == ["0", "high", "normal", "low"]


async def test_a_full_line_sheds() -> None:
    one = Scripted("one", "wait")
    async with Fleet(one, upstream=line(max_queued=2, shed_at="100%")) as stage:
        await waiting(stage, chat(), chat(), chat())
        got, body, reply = await stage.gets(chat())
        assert (got, reply.code) == (503, "shed")
        assert int(reply["retry-after"]) >= 1
        assert int(reply["retry-after-ms"]) >= 1
        assert json.loads(body)["error"]["code"] == "shed"
        assert stage.stats.upstreams["u"].shed == {"full": 1}
        one.gate.set()


async def test_from_a_share_on_only_high_priority_queues() -> None:
    one = Scripted("one", "wait")
    async with Fleet(one, upstream=line(max_queued=5), listener=TRUSTED) as stage:
        await waiting(stage, *[chat()] * 5)  # four of five places of the line
        assert (await stage.gets(chat()))[2].code == "shed"
        assert stage.stats.upstreams["u"].shed == {"shed": 1}
        high = await stage.client()
        await high.sends(chat("m", b"x-sidecar-priority: high"))
        await until(lambda: stage.line.queued == 5)
        one.gate.set()
        assert (await high.reply()).status == 200


async def test_bodies_that_wait_are_bounded() -> None:
    one = Scripted("one", "wait")
    async with Fleet(one, upstream=line(max_queued_bytes="4KiB")) as stage:
        await waiting(stage, chat(), chat(text="x" * 3000))
        assert (await stage.gets(chat(text="x" * 3000)))[2].code == "shed"
        assert stage.stats.upstreams["u"].shed == {"bytes": 1}
        one.gate.set()


async def test_a_wait_ends_at_its_limit() -> None:
    one = Scripted("one", "wait")
    async with Fleet(one, upstream=line(max_wait="50ms")) as stage:
        first = await waiting(stage, chat())
        assert (await stage.gets(chat()))[2].code == "shed"
        assert stage.stats.upstreams["u"].shed == {"deadline": 1}
        assert stage.line.queued == 0
        one.gate.set()
        assert (await first[0].reply()).status == 200


async def test_a_wait_ends_at_the_calls_deadline() -> None:
    one = Scripted("one", "wait")
    async with Fleet(one, upstream=line(), listener=TRUSTED) as stage:
        first = await waiting(stage, chat())
        late = (await stage.gets(chat("m", b"x-sidecar-timeout: 50ms")))[2]
        assert (late.status, late.code) == (503, "shed")
        assert stage.stats.upstreams["u"].shed == {"deadline": 1}
        assert (one.calls, stage.line.queued) == (1, 0)
        one.gate.set()
        assert (await first[0].reply()).status == 200


async def test_a_call_that_can_not_make_it_is_told_at_once() -> None:
    one = Scripted("one", "wait", "wait")
    async with Fleet(one, upstream=line(), listener=TRUSTED) as stage:
        slow = await waiting(stage, chat())
        await asyncio.sleep(0.2)
        one.gate.set()
        await slow[0].reply()  # calls take 0.2 s, as it seems
        one.gate.clear()
        await waiting(stage, chat(), chat())
        began = asyncio.get_running_loop().time()
        reply = (await stage.gets(chat("m", b"x-sidecar-timeout: 150ms")))[2]
        assert reply.code == "shed"
        assert asyncio.get_running_loop().time() - began < 0.1
        assert stage.stats.upstreams["u"].shed == {"deadline": 1}
        one.gate.set()


async def test_a_caller_that_leaves_the_line() -> None:
    one = Scripted("one", "wait")
    async with Fleet(one, upstream=line()) as stage:
        clients = await waiting(stage, chat("0"), chat("1"), chat("2"))
        clients[1].closes()
        await until(lambda: stage.line.queued == 1)
        one.gate.set()
        assert (await clients[2].reply()).status == 200
        assert one.calls == 2


async def test_a_caller_that_leaves_gives_its_place_on() -> None:
    one = Scripted("one", "hang")
    async with Fleet(one, upstream=line()) as stage:
        clients = await waiting(stage, chat(), chat())
        clients[0].closes()
        assert (await clients[1].reply()).status == 200
        await until(lambda: one.broken == 1)


async def test_a_place_is_kept_while_the_reply_streams() -> None:
    one = Scripted("one", EVENTS + chunk(b"data: 1\n\n"))
    async with Fleet(one, upstream=line()) as stage:
        streaming = await stage.client()
        await streaming.sends(chat())
        await streaming.until(b"data: 1")
        other = await stage.client()
        await other.sends(chat())
        await until(lambda: stage.line.queued == 1)
        await one.peers[0].sends(b"0\r\n\r\n")
        assert (await other.reply()).status == 200


async def test_a_place_is_kept_through_retries_and_given_back_after_a_failure() -> None:
    one = Scripted("one", always=status(500))
    async with Fleet(one, upstream=line()) as stage:
        for _ in range(3):
            assert (await stage.gets(chat()))[0] == 500
        assert (one.calls, stage.line.in_flight) == (9, 0)


async def test_a_larger_line_lets_the_waiting_go() -> None:
    one = Scripted("one", "wait", "wait", "wait")
    async with Fleet(one, upstream=line()) as stage:
        await waiting(stage, chat(), chat(), chat())
        stage.config["upstreams"]["u"]["admission"]["max_in_flight"] = 3
        await stage.apply()
        await until(lambda: one.calls == 3)
        one.gate.set()


async def test_shedding_leads_to_the_fallback() -> None:
    one, two = Scripted("one", always="wait"), Scripted("two")
    upstreams = {
        "a": {"endpoints": [{"url": one.url}], **line(max_queued=0)},
        "b": {"endpoints": [{"url": two.url}]},
    }
    routes = [{"upstream": "a", "fallback": [{"upstream": "b"}]}]
    async with Fleet(one, two, upstreams=upstreams, routes=routes) as stage:
        held = await stage.client()
        await held.sends(chat())
        await until(lambda: one.calls)
        assert (await stage.gets(chat()))[:2] == (200, b"two")
        one.gate.set()


async def test_a_thousand_wait_in_bounded_memory() -> None:
    """What is beyond the line is told so at once; nobody is lost."""
    one = Scripted("one", "wait")
    async with Fleet(one, upstream=line(max_queued=10, shed_at="100%")) as stage:
        clients = []
        for _ in range(300):
            client = await stage.client()
            await client.sends(chat())
            clients.append(client)
        await until(lambda: sum(stage.stats.upstreams["u"].shed.values()) == 289)
        assert (stage.line.in_flight, stage.line.queued) == (1, 10)
        one.gate.set()
        statuses = [(await client.reply()).status for client in clients]
        assert (statuses.count(200), statuses.count(503)) == (11, 289)


# -- limits --


def limited(**limits: Any) -> dict[str, Any]:
    return {"limits": limits, "retry": {"max": 0}}


async def test_a_rate() -> None:
    one = Scripted("one")
    rate = {"per_second": 0.5, "burst": 3}
    async with Fleet(one, policy=limited(rate=rate)) as stage:
        replies = [(await stage.gets(chat()))[2] for _ in range(5)]
        assert [reply.status for reply in replies] == [200, 200, 200, 429, 429]
        assert replies[3].code == "rate_limited"
        assert replies[3]["retry-after"] == "2"
        assert 1000 <= int(replies[3]["retry-after-ms"]) <= 2000
        assert (one.calls, stage.route.limited) == (3, {"rate_limited": 2})


async def test_so_many_at_once() -> None:
    one = Scripted("one", "wait", "wait")
    async with Fleet(one, policy=limited(concurrency=2)) as stage:
        clients = [await stage.client() for _ in range(2)]
        for client in clients:
            await client.sends(chat())
        await until(lambda: one.calls == 2)
        got, _, reply = await stage.gets(chat())
        assert (got, reply.code) == (429, "concurrency_limited")
        one.gate.set()
        for client in clients:
            assert (await client.reply()).status == 200
        assert (await stage.gets(chat()))[0] == 200


async def test_each_client_by_itself() -> None:
    one = Scripted("one")
    client = {"by": "header", "header": "X-Team", "rate": {"per_second": 0.1, "burst": 1}}
    async with Fleet(one, policy=limited(client=client)) as stage:
        a, b = b"x-team: a", b"x-team: b"
        got = [(await stage.gets(chat("m", team)))[0] for team in (a, b, a, b)]
        assert got == [200, 200, 429, 429]


async def test_a_client_that_is_over_does_not_use_up_the_routes_share() -> None:
    one = Scripted("one")
    client = {"by": "header", "header": "x-team", "rate": {"per_second": 0.1, "burst": 1}}
    rate = {"per_second": 0.1, "burst": 2}
    async with Fleet(one, policy=limited(client=client, rate=rate)) as stage:
        got = [(await stage.gets(chat("m", b"x-team: a")))[0] for _ in range(4)]
        got.append((await stage.gets(chat("m", b"x-team: b")))[0])
        assert got == [200, 429, 429, 429, 200]


async def test_limits_go_on_across_a_reload_and_take_new_numbers() -> None:
    one = Scripted("one")
    async with Fleet(one, policy=limited(rate={"per_second": 0.1, "burst": 2})) as stage:
        assert (await stage.gets(chat()))[0] == 200
        assert (await stage.gets(chat()))[0] == 200
        stage.config["policies"]["default"]["timeouts"] = {"connect": "4s"}
        await stage.apply()
        assert (await stage.gets(chat()))[0] == 429
        stage.config["policies"]["default"]["limits"]["rate"] = {"per_second": 1000, "burst": 5}
        await stage.apply()
        await asyncio.sleep(0.01)
        assert (await stage.gets(chat()))[0] == 200


@pytest.mark.parametrize(("trusted", "second"), [(True, 200), (False, 429)])
async def test_a_forwarded_address_counts_where_it_is_trusted(trusted: bool, second: int) -> None:
    one = Scripted("one")
    client = {"rate": {"per_second": 0.1, "burst": 1}}
    listener = {"trust": {"forwarded_for": trusted}}
    async with Fleet(one, policy=limited(client=client), listener=listener) as stage:
        assert (await stage.gets(chat("m", b"x-forwarded-for: 9.9.9.9, 10.0.0.1")))[0] == 200
        assert (await stage.gets(chat("m", b"x-forwarded-for: 9.9.9.9, 10.0.0.2")))[0] == second
        assert (await stage.gets(chat("m", b"x-forwarded-for: 8.8.8.8, 10.0.0.1")))[0] == 429


# -- clients, deadlines, hedges --

BY_TEAM = {"clients": {"by": "header", "header": "X-Team"}}


def of(team: str, model: str = "m") -> bytes:
    return chat(model, b"x-team: " + team.encode())


async def test_clients_take_turns() -> None:
    one = Scripted("one", "wait")
    async with Fleet(one, upstream=line(**BY_TEAM)) as stage:
        names = ["a0", "a1", "a2", "a3", "b4", "c5", "b6"]
        clients = await waiting(stage, *(of(name[0], name) for name in names))
        one.gate.set()
        for client in clients:
            assert (await client.reply()).status == 200
        asked = [json.loads(sent.partition(b"\r\n\r\n")[2])["model"] for sent in one.requests]
        assert asked == ["a0", "a1", "b4", "c5", "a2", "b6", "a3"]


async def test_who_has_most_in_a_full_line_makes_room() -> None:
    one = Scripted("one", "wait")
    async with Fleet(one, upstream=line(max_queued=4, shed_at="100%", **BY_TEAM)) as stage:
        hog = await waiting(stage, *[of("hog")] * 5)
        meek = await stage.client()
        await meek.sends(of("meek"))
        shed = await hog[-1].reply()
        assert (shed.status, shed.code) == (503, "shed")
        assert int(shed["retry-after"]) >= 1
        assert stage.line.queued == 4
        assert stage.stats.upstreams["u"].shed == {"full": 1}
        one.gate.set()
        for client in (meek, *hog[:-1]):
            assert (await client.reply()).status == 200


async def test_a_call_that_can_not_make_its_deadline_leaves_early() -> None:
    one = Scripted("one", "wait")
    sections: dict[str, Any] = {"timeouts": {"total": "60s"}, "upstream": line()}
    async with Fleet(one, **sections) as stage:
        first = await waiting(stage, chat())
        assert stage.line.queued == 0
        stage.line.service_time = 59.8  # type: ignore[attr-defined]
        began = asyncio.get_running_loop().time()
        got, _, reply = await stage.gets(chat())
        assert (got, reply.code) == (503, "shed")
        assert int(reply["retry-after"]) >= 1
        assert asyncio.get_running_loop().time() - began < 30
        assert stage.stats.upstreams["u"].shed == {"deadline": 1}
        one.gate.set()
        assert (await first[0].reply()).status == 200


async def test_an_sdk_that_has_not_so_much_patience_is_told_at_once() -> None:
    one = Scripted("one", "wait")
    async with Fleet(one, upstream=line()) as stage:
        clients = await waiting(stage, chat(), chat())
        stage.line.service_time = 5.0  # type: ignore[attr-defined]
        got, _, reply = await stage.gets(chat("m", b"x-stainless-read-timeout: 4"))
        assert (got, reply.code, int(reply["retry-after"])) == (503, "shed", 5)
        one.gate.set()
        for client in clients:
            assert (await client.reply()).status == 200


@pytest.mark.parametrize(("places", "hedges"), [(1, 0), (2, 1)])
async def test_a_hedge_takes_a_place_or_does_not_begin(places: int, hedges: int) -> None:
    one, two = Scripted("one", always="wait"), Scripted("two", always="wait")
    policy = {"hedge": {"after": "10ms"}}
    async with Fleet(one, two, upstream=line(max_in_flight=places), policy=policy) as stage:
        call = stage.begins(stage.gets(chat()))
        await until(lambda: one.calls + two.calls == 1 + hedges)
        await asyncio.sleep(0.05)
        assert (one.calls + two.calls, stage.line.in_flight) == (1 + hedges, 1 + hedges)
        assert stage.route.hedges == hedges
        one.gate.set()
        two.gate.set()
        assert (await call)[0] == 200
        await until(lambda: stage.line.in_flight == 0)


@pytest.mark.parametrize("by", ["connection", "address"])
async def test_each_connection_is_a_client(by: str) -> None:
    policy = {"limits": {"client": {"by": by, "rate": {"per_second": 0.001, "burst": 1}}}}
    async with Fleet(Scripted("one"), policy=policy) as stage:
        clients = [await stage.client() for _ in range(2)]
        statuses = [(await stage.gets(chat(), each))[0] for each in clients * 2]
        assert statuses == ([200, 200, 429, 429] if by == "connection" else [200, 429, 429, 429])
