"""One endpoint fails in every way there is, another is well: the application sees no failure."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.sockets.peers import EVENTS, WAIT, Peer, chunk, ok, until
from tests.sockets.scripted import Act, Cut, Fleet, Scripted, chat, status

METHODS: list[Any] = [
    {"method": "round_robin"},
    {"method": "least_conn"},
    {"method": "ip_hash", "hash_on": "header", "name": "x-user"},
    {"method": "dynamic", "decay": "10ms"},
    {"method": "prefix"},
]
STREAM = EVENTS + chunk(b"data: 1\n\n") + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
TOLD = b"data: 1\n\ndata: [DONE]\n\n"
FAULTS: dict[str, Act] = {
    "500": status(500),
    "429": status(429),
    "hang": "hang",
    "reset": "reset",
    "close": "close",
    "garbage": b"what?\r\n\r\n",
    "half a status line": Cut(b"HTTP/1"),
    "half a head": Cut(b"HTTP/1.1 200 OK\r\nContent-Le"),
}
POLICY: dict[str, Any] = {
    "breaker": {"min_calls": 2, "open": "20ms", "open_max": "20ms", "trials": 1},
}
every_method = pytest.mark.parametrize("balance", METHODS, ids=lambda b: str(b["method"]))


def asks(number: int) -> bytes:
    """As another user, about something else, each time: hashing sends some of them anywhere."""
    words = [{"role": "user", "content": f"tell me of {number}"}]
    return chat("m", b"x-user: %d" % number, messages=words)


async def succeeds(stage: Fleet, client: Peer, well: Scripted, number: int) -> None:
    """One call does, every other one with a stream for a reply."""
    well.always = STREAM if number % 2 else None
    got, body, _ = await stage.gets(asks(number), client)
    assert (got, body) in ((200, b"bad"), (200, b"well"), (200, TOLD))


async def calls_until(
    stage: Fleet, client: Peer, well: Scripted, condition: Callable[[], object]
) -> None:
    """Go on calling until *condition* holds."""
    end = time.monotonic() + WAIT
    for number in itertools.count():
        await succeeds(stage, client, well, number)
        if condition():
            return
        assert time.monotonic() < end, "it did not come about"


async def serves_again(stage: Fleet, client: Peer, well: Scripted, bad: Scripted) -> None:
    """The endpoint that was bad gets its calls, and its breaker is closed."""
    seen = bad.calls
    await calls_until(stage, client, well, lambda: bad.calls > seen + 3)
    assert all(b == "closed" for e in stage.endpoints for b in e.stats.breakers.values())
    assert stage.route.errors == {}
    assert set(stage.route.statuses) == {200}


@every_method
@pytest.mark.parametrize("fault", FAULTS)
async def test_the_application_sees_nothing_of_a_fault(balance: Any, fault: str) -> None:
    bad, well = Scripted("bad"), Scripted("well")
    sections: dict[str, Any] = {"policy": POLICY, "upstream": {"balance": balance}}
    async with Fleet(bad, well, timeouts={"first_byte": "100ms"}, **sections) as stage:
        client = await stage.client()
        await calls_until(stage, client, well, lambda: bad.calls and well.calls)
        bad.always, seen = FAULTS[fault], bad.calls
        for number in range(100):
            await succeeds(stage, client, well, number)
        await calls_until(stage, client, well, lambda: bad.calls > seen)
        bad.always = None
        await serves_again(stage, client, well, bad)


@every_method
async def test_nor_of_an_endpoint_that_dies_and_comes_back(balance: Any) -> None:
    bad, well = Scripted("bad"), Scripted("well")
    async with Fleet(bad, well, policy=POLICY, upstream={"balance": balance}) as stage:
        client = await stage.client()
        await calls_until(stage, client, well, lambda: bad.calls > 3)
        bad.stops()
        for number in range(100):
            await succeeds(stage, client, well, number)
        await bad.comes_back()
        await serves_again(stage, client, well, bad)


@every_method
async def test_nor_of_one_that_dies_with_calls_under_way(balance: Any) -> None:
    bad, well = Scripted("bad", always="hang"), Scripted("well")
    async with Fleet(bad, well, policy=POLICY, upstream={"balance": balance}) as stage:
        calls = [stage.begins(stage.gets(asks(number))) for number in range(10)]
        await until(lambda: bad.calls + well.calls == len(calls))
        while not bad.calls and len(calls) < 1000:  # which some methods soon avoid
            calls.append(stage.begins(stage.gets(asks(len(calls)))))
            await until(lambda: bad.calls + well.calls == len(calls))
        assert bad.calls
        bad.stops()
        for call in calls:
            assert (await call)[:2] == (200, b"well")


@pytest.mark.parametrize("fault", ["500", "reset", "half a head"])
async def test_many_callers_at_once(fault: str) -> None:
    bad, well = Scripted("bad", always=FAULTS[fault]), Scripted("well")

    async def caller(stage: Fleet) -> None:
        client = await stage.client()
        for number in range(10):
            assert (await stage.gets(asks(number), client))[:2] == (200, b"well")

    async with Fleet(bad, well, policy=POLICY) as stage:
        for task in [stage.begins(caller(stage)) for _ in range(10)]:
            await task
        assert stage.route.statuses == {200: 100}


# -- what happens to a call in each phase of a policy --

BIG = b"x" * 2_000_000


class Phase(NamedTuple):
    """Where a call is when something happens to it."""

    policy: dict[str, Any]
    upstream: dict[str, Any]
    before: list[Act]
    """What the server does before the reply that counts."""
    servers: int = 1
    calls: int = 1
    """Whose last is in the phase, once there are so many."""


PHASES = {
    "in the line": Phase({}, {"admission": {"max_in_flight": 1}}, ["wait"], calls=2),
    "before a retry": Phase({}, {}, [status(503, b"retry-after-ms: 100")]),
    "hedging": Phase({"hedge": {"after": "5ms"}, "retry": {"max": 0}}, {}, ["wait"], servers=2),
    "on trial": Phase({"ejection": {"panic": False}, "retry": {"max": 0}}, {}, ["wait"]),
}
TRIED = {"breaker": {"min_calls": 1, "open": "1ms", "jitter": "0%", "trials": 1}}


class Staged:
    """A call that is in *phase*; `goes_on` lets it have *reply*."""

    def __init__(self, name: str, reply: bytes) -> None:
        self.name, self.phase, self.reply = name, PHASES[name], reply
        before = [status(500), *self.phase.before] if name == "on trial" else self.phase.before
        then = [] if name in ("hedging", "on trial") else [reply]
        self.servers = [Scripted(str(n), *before, *then) for n in range(self.phase.servers)]
        policy = {**self.phase.policy, **(TRIED if name == "on trial" else {"breaker": None})}
        self.fleet = Fleet(*self.servers, policy=policy, upstream=self.phase.upstream)

    async def begins(self, *, window: int | None = None) -> Peer:
        """The caller, whose call is in the phase."""
        fleet = self.fleet
        if self.name == "on trial":
            assert (await fleet.gets(chat()))[0] == 500
            opened = next(iter(fleet.endpoints[0].breakers.values())).until
            await until(lambda: time.monotonic() >= opened)
        if self.name == "in the line":
            await (await fleet.client()).sends(chat())
            await until(lambda: fleet.line.in_flight)
        client = await fleet.client(window=window)
        await client.sends(chat())
        await until(self._is_there)
        return client

    def _is_there(self) -> bool:
        fleet = self.fleet
        return {
            "in the line": lambda: fleet.line.queued == 1,
            "before a retry": lambda: bool(fleet.route.retries),
            "hedging": lambda: all(server.calls for server in self.servers),
            "on trial": lambda: self.servers[0].calls == 2,
        }[self.name]()

    def goes_on(self) -> None:
        if self.name in ("hedging", "on trial"):
            self.servers[-1].answer = self.reply
            self.servers[-1].gate.set()
        elif self.name == "in the line":
            self.servers[0].gate.set()

    async def serves_another(self) -> None:
        """Nothing of the call is left, and the next one is served."""
        self.goes_on()
        await self.fleet.is_at_rest()
        for server in self.servers:
            server.acts, server.always = [], None
        if self.name == "on trial":
            breaker = next(iter(self.fleet.endpoints[0].breakers.values()))
            await until(lambda: time.monotonic() >= breaker.until)
        assert (await self.fleet.gets(chat()))[0] == 200
        if self.name == "on trial":
            assert self.fleet.endpoints[0].stats.breakers == {"default": "closed"}


every_phase = pytest.mark.parametrize("phase", PHASES)


@every_phase
@pytest.mark.parametrize("how", ["closes", "resets", "half_closes"])
async def test_a_caller_that_leaves(phase: str, how: str) -> None:
    staged = Staged(phase, ok(b"late"))
    async with staged.fleet as fleet:
        client = await staged.begins()
        getattr(client, how)()
        await until(lambda: fleet.route.errors == {"caller_left": 1})
        await staged.serves_another()


@every_phase
async def test_a_caller_that_reads_slowly(phase: str) -> None:
    staged = Staged(phase, ok(BIG))
    async with staged.fleet as fleet:
        client = await staged.begins(window=4096)
        staged.goes_on()
        assert b"200 OK" in await client.head()
        await client.drains(len(BIG), step=2**17, pace=0.001)
        assert fleet.route.errors == {}
        await staged.serves_another()


@every_phase
async def test_a_reply_that_breaks_off(phase: str) -> None:
    staged = Staged(phase, Cut(ok(BIG)[:-5]))
    async with staged.fleet as fleet:
        client = await staged.begins()
        staged.goes_on()
        await client.is_cut()
        assert fleet.route.errors == {"upstream_truncated": 1}
        await staged.serves_another()
