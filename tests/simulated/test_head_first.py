"""Servers that send their head at once, and fail behind it: hang, begin with an error, say nothing.

Only who looks at the first content can hedge and try again there.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final, NamedTuple

import pytest

from tests.llm.streams import DONE, chunk, data
from tests.simulated.callers import make, served
from tests.simulated.clock import run
from tests.simulated.fleet import Fleet
from tests.simulated.servers import Link, Server, lognormal

HANG: Final = 5.0
HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
ROLE: Final = data(chunk({"role": "assistant", "content": ""}))
TEXT: Final = data(chunk({"content": "hello"}))
WHOLE: Final = TEXT + data(chunk({}, "stop")) + DONE
ERROR: Final = data({"error": {"message": "full", "type": "server_error", "code": "overloaded"}})
BODY: Final = b'{"model":"m","stream":true}'
CHAT: Final = b"/v1/chat/completions"
POLICY: Final[dict[str, Any]] = {
    "retry": {"max": 3, "budget": {"ratio": "20%", "min_per_second": 5}},
    "hedge": {"quantile": "95%", "min_calls": 20, "budget": {"ratio": "15%", "min_per_second": 1}},
    "breaker": {"failure_rate": "50%", "slow_after": "3s", "min_calls": 20},
}


class HeadFirst(Server):
    async def serve(self, link: Link, body: bytes) -> None:
        self.arrivals.append(time.monotonic())
        link.sends(HEAD + _chunk(ROLE))
        fate = self.draws.random()
        await asyncio.sleep(self.latency(self.draws) + (HANG if fate < 0.03 else 0.0))
        said = WHOLE
        if 0.03 <= fate < 0.05:
            said = ERROR + DONE
        elif 0.05 <= fate < 0.06:
            said = DONE
        link.sends(_chunk(said) + b"0\r\n\r\n")


def _chunk(part: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), part)


class Streamed(NamedTuple):
    whole: bool
    first: float
    """Seconds until the first content."""


class Load(NamedTuple):
    whole: float
    """Share of the streams."""
    p99: float
    """Seconds until the first content."""
    amplification: float


async def load(policy: dict[str, Any], balance: str, seed: int) -> Load:
    servers = [HeadFirst(number, seed, latency=lognormal(0.2, 0.4)) for number in range(4)]
    fleet = Fleet(*servers, policy=policy, upstream={"balance": balance}, seed=seed)
    done: list[Streamed] = []

    async def one() -> None:
        call, downstream = make(BODY, target=CHAT)
        began = time.monotonic()
        await served(call, fleet.snapshot, fleet.recorder, 600.0)
        data = downstream.wire.data
        whole = WHOLE in data and data.endswith(b"0\r\n\r\n") and data.count(TEXT) == 1
        content = call.attempt.content if call.attempt is not None else None
        done.append(Streamed(whole, (content or time.monotonic()) - began))

    tasks = []
    for _ in range(2500):
        await asyncio.sleep(fleet.draws.expovariate(60))
        tasks.append(asyncio.create_task(one()))
    await asyncio.gather(*tasks)
    firsts = sorted(each.first for each in done)
    requests = sum(len(server.arrivals) for server in servers)
    share = sum(each.whole for each in done) / len(done)
    return Load(share, firsts[int(0.99 * len(firsts))], requests / len(done))


@pytest.mark.parametrize("balance", ["round_robin", "dynamic"])
@pytest.mark.parametrize("seed", [1, 2])
def test_all_streams_are_whole_and_begin_soon(balance: str, seed: int) -> None:
    found = run(load(POLICY, balance, seed), seed)
    assert found.whole == 1.0
    assert found.p99 <= 1.2  # in simulated time
    assert found.amplification <= 1.2


def test_without_a_policy_they_fare_as_without_a_sidecar() -> None:
    found = run(load({"retry": {"max": 0}, "breaker": None}, "round_robin", 1), 1)
    assert 0.96 < found.whole < 0.98
    assert found.p99 > HANG
    assert found.amplification == 1.0
