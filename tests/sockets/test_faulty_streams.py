"""Streams with faults of every kind on real sockets, many at once."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any, Final

from sidecar.observe.record import CallRecord
from tests.simulated.faulty import FAULTS, SPEECHES, Drawn, drawn
from tests.simulated.test_faulty_streams import check_client, told
from tests.sockets.peers import Peer
from tests.sockets.scripted import Fleet, Scripted

GATE: Final = 1.0
POLICY: Final[dict[str, Any]] = {
    "gate": {"wait": f"{GATE}s"},
    "retry": {"max": 1, "budget": {"ratio": "100%", "min_per_second": 1000}},
    "breaker": None,
}
TIMEOUTS: Final = {"first_byte": "3s", "idle": "3s"}


class Streaming(Scripted):
    """Plays the drawn stream for the first attempt of a call, and a good one for the next."""

    def __init__(self) -> None:
        super().__init__("streaming")
        self.draws = random.Random(7)
        self.planned: dict[bytes, Drawn] = {}
        self.played: dict[bytes, list[Drawn]] = {}

    async def _act(self, peer: Peer) -> bool:
        body = self.requests[-1].partition(b"\r\n\r\n")[2]
        stream, played = self.planned[body], self.played.setdefault(body, [])
        if played:
            stream = drawn(stream.speech, "none", self.draws)
        played.append(stream)
        for _, read in stream.wire:
            await peer.sends(read)
            await asyncio.sleep(0)
        if stream.end in ("stalled", "open", "left"):
            await self._gone(peer)
        elif stream.end == "reset":
            peer.resets()
        elif stream.end == "cut" or not stream.framed:
            peer.closes()
        else:
            return True
        return False


async def one(stage: Fleet, server: Streaming, number: int, stream: Drawn) -> None:
    """Have one call answered with *stream*."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    body = json.dumps({"model": "m", "stream": True, "n": number}).encode()
    server.planned[body] = stream
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nx-request-id: %d\r\nConnection: close\r\n"
    head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    client = await stage.client()
    await client.sends(head % (stream.speech.path, number, len(body), body))
    data = b""
    while more := await loop.sock_recv(client.sock, 65536):
        data += more
        if stream.end == "left":
            client.closes()
            return
    last = server.played[body][-1]
    why = (stream, last, told(data))
    held = loop.time() - began < GATE  # a machine that is slower opens the gate by its timer
    assert len(server.played[body]) == 2 or not stream.mended or not held, why
    if last.end == "reset":  # which may overtake what was sent before it
        assert not told(data).whole, why
    else:
        check_client(told(data), last, why)


def check_verdict(record: CallRecord, server: Streaming) -> None:
    number = int(record.request_id)
    played = next(p for body, p in server.played.items() if json.loads(body)["n"] == number)
    if played[-1].end not in ("reset", "left"):
        assert record.verdict in played[-1].verdicts, (record, played)


async def test_streams_with_faults_of_every_kind() -> None:
    draws = random.Random(3)
    server = Streaming()
    records: list[CallRecord] = []
    paths = {"anthropic": "/v1/messages", "gemini": "/v1beta/", "openai": "/v1/"}
    endpoint = {"endpoints": [{"url": server.url}], "pool": {"max_open": 1000}}
    upstreams = {dialect: {**endpoint, "dialect": dialect} for dialect in paths}
    routes = [{"match": {"path": path}, "upstream": dialect} for dialect, path in paths.items()]
    streams = [
        drawn(speech, fault, draws) for _ in range(3) for speech in SPEECHES for fault in FAULTS
    ]
    async with Fleet(
        server, policy=POLICY, timeouts=TIMEOUTS, upstreams=upstreams, routes=routes
    ) as stage:
        stage.serving.recorder.sinks = [records]
        await asyncio.gather(*(one(stage, server, n, each) for n, each in enumerate(streams)))
        await stage.is_at_rest()
    assert len(records) == len(streams)
    for record in records:
        check_verdict(record, server)
