"""Streams with faults of every kind: none is misjudged, and none looks whole that is not."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections import Counter
from typing import Any, Final, NamedTuple

import h11
import pytest

from sidecar.proxy.call import Call
from tests.simulated.callers import Downstream, make, served
from tests.simulated.clock import run
from tests.simulated.faulty import FAULTS, SPEECHES, TERMINAL, Drawn, Speech, drawn
from tests.simulated.fleet import Fleet
from tests.simulated.servers import Link, Server

STREAMS: Final = 10_000
GATE: Final = 2.0
IDLE: Final = 5.0
POLICY: Final[dict[str, Any]] = {
    "gate": {"wait": f"{GATE}s"},
    "timeouts": {"first_byte": f"{IDLE}s", "idle": f"{IDLE}s"},
    "retry": {
        "max": 1,
        "backoff": {"base": "1ms", "cap": "1ms"},
        "budget": {"ratio": "100%", "min_per_second": 100_000},
    },
    "breaker": None,
}
AT_ONCE: Final = 1e-6
PATIENCE: Final = 1.5
"""Seconds after which a caller that is to leave leaves."""


class Played(NamedTuple):
    """A stream as a server sent it."""

    stream: Drawn
    times: list[float]
    """When each read was sent."""


class Streaming(Server):
    """Plays the drawn stream for the first attempt of a call, and a good one for the next."""

    def __init__(self, speech: Speech, number: int = 0) -> None:
        super().__init__(number)
        self.speech = speech
        self.planned: dict[bytes, Drawn] = {}
        self.played: dict[bytes, list[Played]] = {}

    async def serve(self, link: Link, body: bytes) -> None:
        first = body in self.planned
        stream = self.planned.pop(body, None) or drawn(self.speech, "none", self.draws)
        assert first == (body not in self.played)
        played = Played(stream, [])
        self.played.setdefault(body, []).append(played)
        for wait, read in stream.wire:
            if wait:
                await asyncio.sleep(wait)
            played.times.append(time.monotonic())
            link.sends(read)
        if stream.end in ("cut", "reset"):
            await asyncio.sleep(0.001)  # what came so far has been passed on, where it may be
        if stream.end in ("ended", "cut"):
            link.ends(None)
        elif stream.end == "reset":
            link.ends(ConnectionResetError("reset"))


class Told(NamedTuple):
    """What a client makes of a reply."""

    status: int
    whole: bool
    """Its framing came to its end."""
    body: bytes
    """Still coded."""


def told(data: bytes) -> Told:
    if not data:
        return Told(0, False, b"")  # to h11, nothing is an end
    conn = h11.Connection(h11.CLIENT)
    conn.send(h11.Request(method="POST", target="/", headers=[("host", "a")]))
    conn.send(h11.EndOfMessage())
    conn.receive_data(data)
    status, body = 0, b""
    while True:
        event = conn.next_event()
        if isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
        else:
            return Told(status, isinstance(event, h11.EndOfMessage), body)


ERROR: Final = re.compile(
    rb'^(?:event: error|data: {"error"|data: {"type":"(?:error|response.failed)"|\[?{\s*"error")',
    re.M,
)
LINE: Final = re.compile(rb"\r\n|\r")


async def one(fleet: Fleet, server: Streaming, number: int, stream: Drawn) -> None:
    """Have one call answered with *stream*, and check all that must hold."""
    body = json.dumps({"model": "m", "stream": True, "n": number}).encode()
    server.planned[body] = stream
    call, downstream = make(body, target=stream.speech.path)
    patience = PATIENCE if stream.end == "left" else 1e9
    stayed = await served(call, fleet.snapshot, fleet.recorder, patience)
    played = server.played.pop(body)
    found = told(downstream.wire.data)
    why = (number, stream, found, call.attempts, [a.said for a in call.attempts])
    check_attempts(call, played, stayed, why)
    if stayed:
        check_client(found, played[-1].stream, why)
    check_gate(call, downstream, played[-1], why)


def check_attempts(call: Call, played: list[Played], stayed: bool, why: object) -> None:
    """Each attempt's verdict is right, and another one follows where it can mend something."""
    assert len(played) == len(call.attempts), why
    for attempt, (stream, _) in zip(call.attempts, played, strict=True):
        said = attempt.said
        assert (said is None) == (not attempt.status), why
        assert said is None or said.verdict in stream.verdicts, why
    if stayed:
        assert (len(played) == 2) == played[0].stream.mended, why


def check_client(found: Told, stream: Drawn, why: object) -> None:
    """The client can tell a broken stream, and has all that came of it and nothing else."""
    assert found.status == 200, why
    assert found.body.startswith(stream.body), why
    ours = found.body[len(stream.body) :]
    sent = LINE.sub(b"\n", stream.seen(stream.body))
    if found.whole:
        assert not ours, why
        assert stream.end in ("ended", "cut") or "complete" in stream.verdicts, why
        if "complete" not in stream.verdicts:
            ends = [event for event, marks in stream.speech.closing if marks & TERMINAL]
            shows = any(b"\n" + event.rstrip() in b"\n" + sent for event in ends)
            shows = sent.endswith(b"]") if stream.speech.array else shows
            assert ERROR.search(sent) or not shows or "empty" in stream.verdicts, why
        return
    assert stream.end != "ended", why
    tells = stream.plain and not stream.bounded and not stream.speech.array
    tells = tells and ends_an_event(sent)
    assert bool(ours) == tells, why
    assert not ours or ERROR.search(ours), why


def ends_an_event(sent: bytes) -> bool:
    """Whether another event may follow *sent*."""
    return not sent or sent.endswith(b"\n\n")


def check_gate(call: Call, downstream: Downstream, played: Played, why: object) -> None:
    """What speaks is passed on at once, and all else after the gate's bound."""
    stream, times = played
    first = downstream.wire.first
    if len(times) > stream.begins and first is not None:
        assert first <= times[stream.begins] + GATE + AT_ONCE, why
    if 0 <= stream.opens < len(times):
        assert first is not None, why
        assert first <= times[stream.opens] + AT_ONCE, why
        content = call.attempts[-1].content
        assert content is not None, why
        assert times[stream.begins] <= content <= times[stream.opens] + AT_ONCE, why


async def load(speech: Speech, seed: int, count: int) -> Counter[str]:
    """*count* streams, many of them at once."""
    draws = random.Random(seed)
    server = Streaming(speech)
    fleet = Fleet(server, policy=POLICY, upstream={"dialect": speech.dialect}, seed=seed)
    faults: Counter[str] = Counter()
    for begin in range(0, count, 50):
        streams = [drawn(speech, draws.choice(FAULTS), draws) for _ in range(50)]
        faults.update(stream.fault for stream in streams)
        each = (one(fleet, server, begin + n, stream) for n, stream in enumerate(streams))
        for failed in await asyncio.gather(*each, return_exceptions=True):
            if failed is not None:
                raise failed
    return faults


@pytest.mark.parametrize("speech", SPEECHES, ids=lambda speech: speech.path.decode())
def test_streams_with_faults_of_every_kind(speech: Speech) -> None:
    faults = run(load(speech, 1, STREAMS // len(SPEECHES)))
    assert set(faults) == set(FAULTS)
