"""Whatever comes in whatever order: when all calls are over, the caller's connection is read.

Real calls through the whole stack, on transports whose every event is one step of the test: either
side takes nothing for a while, upstream connections answer early, late, in pieces, or break.
"""

from __future__ import annotations

import asyncio
from typing import Any

import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.errors import TimedOut
from sidecar.listen.downstream import DownstreamConnection
from sidecar.listen.downstream_state import OVER
from sidecar.policy.timeouts import Due
from sidecar.proxy.exchange.state import UNSENT
from sidecar.upstream.connect.connection import UpstreamConnection
from sidecar.upstream.connect.pool import Pool
from tests.listen.transports import HIGH, Transport
from tests.sockets.peers import CHUNKED_OK, GET, OK, Server, chunk, post
from tests.sockets.stage import Stage

HOLD = 4 * HIGH
SIZES = st.sampled_from([2, HIGH // 2, 2 * HIGH, 3 * HOLD])
"""Of bodies: small ones, one that fills a send buffer, one that streams."""
TURNS = 30
"""Steps of the loop in which everything that can happen by itself has happened."""
TRY_AGAIN = b"HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\nno"
POLICY = {
    "hold": f"{HOLD}B",
    "retry": {"max": 1, "backoff": {"base": "1us", "cap": "1us"}},
    "breaker": None,
}
HEDGE = {"after": "1us", "budget": {"ratio": "100%", "min_per_second": 1000}}
SERVERS = ["full", "drains", "ok", "again", "head", "piece", "end", "close", "reset", "time"]
EVENTS = st.one_of(
    st.tuples(st.just("send"), st.sampled_from([100, HIGH, HOLD])),
    st.tuples(st.sampled_from(["caller full", "caller drains"]), st.just(0)),
    st.tuples(st.sampled_from(SERVERS), st.integers(0, 3)),
    st.tuples(st.sampled_from(SERVERS), st.just(0)),
)


class Act:
    """One caller's connection, and those upstream that its calls have made."""

    def __init__(self, stage: Stage, sizes: list[int], taking: bool) -> None:
        self.unsent = b"".join(post(size) + bytes(size) for size in sizes)
        self.taking = taking
        """Whether new connections upstream take what they are sent."""
        self.upstream: list[Transport] = []
        for endpoint in stage.endpoints:
            endpoint.pool._dial = self._dial
        self.protocol = DownstreamConnection(stage.listener())
        self.caller = Transport(self.protocol)

    async def _dial(self, pool: Pool, _: Due) -> UpstreamConnection:
        connection = UpstreamConnection(pool)
        transport = Transport(connection)
        transport.takes = self.taking
        self.upstream.append(transport)
        return connection

    def does(self, event: str, number: int) -> None:
        if event == "send":
            if self.unsent and self.caller.comes(self.unsent[:number]):
                self.unsent = self.unsent[number:]
        elif event == "caller full":
            self.caller.takes = False
        elif event == "caller drains":
            self.caller.drains()
        elif self.upstream:
            self.answers(event, self.upstream[number % len(self.upstream)])

    def answers(self, event: str, transport: Transport) -> None:
        connection: Any = transport.protocol
        if event == "full":
            transport.takes = False
        elif event == "drains":
            transport.drains()
        elif event == "close":
            transport.breaks(None)
        elif event == "reset":
            transport.breaks(ConnectionResetError("reset"))
        elif connection.exchange is None:
            return
        elif event == "time":
            connection.exchange.fail(TimedOut("too long", code="first_byte_timeout"))
        else:
            transport.comes(
                {
                    "ok": OK,
                    "again": TRY_AGAIN,
                    "head": CHUNKED_OK,
                    "piece": chunk(bytes(HIGH)),
                    "end": b"0\r\n\r\n",
                }[event]
            )

    async def ends(self) -> None:
        """Nothing stands in the way of anything any more."""
        self.taking = True
        for _ in range(20 + len(self.unsent) // HIGH):
            self.caller.drains()
            if self.unsent and self.caller.comes(self.unsent[:HIGH]):
                self.unsent = self.unsent[HIGH:]
            for transport in self.upstream:
                transport.drains()
                await turns()
                connection: Any = transport.protocol
                if connection.exchange is not None and connection.exchange.state not in UNSENT:
                    transport.breaks(ConnectionResetError("reset"))
            await turns()

    def closes(self) -> None:
        for transport in (self.caller, *self.upstream):
            transport.abort()

    async def next_call(self) -> None:
        """The connection is read, and serves."""
        self.caller.written.clear()
        assert self.caller.comes(GET), f"not read: {self.protocol._blocks}"
        for _ in range(TURNS):
            await turns(1)
            for transport in self.upstream:
                if getattr(transport.protocol, "exchange", None) is not None:
                    assert transport.comes(OK)
        assert self.caller.written.startswith(b"HTTP/1.1 200 ")


async def turns(count: int = TURNS) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@settings(max_examples=150)
@given(
    st.lists(SIZES, min_size=1, max_size=3),
    st.sampled_from([0, HIGH, HOLD, 10 * HOLD]),
    st.booleans(),
    st.booleans(),
    st.lists(EVENTS, max_size=20),
)
def test_a_connection_is_read_when_its_calls_are_over(
    sizes: list[int], first: int, taking: bool, hedged: bool, events: list[tuple[str, int]]
) -> None:
    async def plays() -> None:
        policy = {**POLICY, **({"hedge": HEDGE} if hedged else {})}
        async with Stage(policy=policy, servers=[Server(), Server()]) as stage:
            act = Act(stage, sizes, taking)
            act.does("send", first)
            await turns()
            for event in events:
                act.does(*event)
                await turns(3)
            await act.ends()
            assert act.protocol.stray_pauses == 0
            assert all(each.reading or each.closing for each in act.upstream)
            if not act.caller.closing and act.protocol.state not in OVER:
                assert not act.unsent
                await act.next_call()
            act.closes()

    uvloop.run(plays())
