"""How much later the chunks of a paced stream arrive because of the sidecar.

Measured, not judged: machines differ. That no chunk waits for the next one is asserted here and,
without a clock, by the lockstep tests.
"""

from __future__ import annotations

import http.client
import json
import time
from contextlib import closing
from itertools import pairwise
from urllib.parse import urlsplit

import report
from peers import Play
from scripted import Exchange

CHUNKS = 200
PACE = 0.01
"""Seconds between chunks: 100 tokens a second."""
ROUNDS = 3


def _paced(exchange: Exchange) -> None:
    exchange.sse_head()
    for n in range(CHUNKS):
        time.sleep(PACE)
        # The clock is the machine's, the same for all its processes.
        exchange.event({"n": n, "sent": time.monotonic()})
    exchange.end()


def _delays(url: str) -> list[float]:
    """Read the stream at *url*; seconds from the sending of each chunk to its arrival."""
    parts = urlsplit(url)
    seen = []
    with closing(http.client.HTTPConnection(str(parts.netloc), timeout=20)) as connection:
        connection.request("POST", parts.path, body=b'{"stream": true}')
        reply = connection.getresponse()
        while line := reply.readline():
            if line.startswith(b"data: "):
                seen.append((json.loads(line[6:]), time.monotonic()))
    assert [event["n"] for event, _ in seen] == list(range(CHUNKS))
    late = sum(arrived >= following["sent"] for (_, arrived), (following, _) in pairwise(seen))
    # All would be, if each waited for the next one; some are on a machine that has much to do.
    assert late < CHUNKS / 2, f"{late} of {CHUNKS} chunks arrived after the next was sent"
    return [arrived - event["sent"] for event, arrived in seen]


def test_delay_of_each_chunk(play: Play) -> None:
    scene = play(_paced)
    direct: list[float] = []
    through: list[float] = []
    for _ in range(ROUNDS):  # By turns, so that a busy machine troubles both alike.
        direct += _delays(scene.direct_url)
        if scene.url != scene.direct_url:
            through += _delays(scene.url)
    report.add("direct", direct)
    if through:
        report.add("through the sidecar", through)
