"""Streams of server-sent events: where they may be cut, however they come in."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from random import Random
from typing import ClassVar, Final

from sidecar.http.headers import chunk
from sidecar.http.sse import Boundary
from sidecar.proxy.exchange.relay import Relay
from tests.fuzz.cases import Case, Fault, Fuzzer
from tests.fuzz.mutate import bytewise, cut, mutated

_PIECES: Final = (
    *(b"data: a\n\n", b"event: x\ndata: b\r\n\r\n", b": c\r\r", b"\n", b"\r", b"\r\n", b"data: "),
    *(b"5\r\nhello\r\n", b"id\n", b"\n\r", b"\x00", b"\xef\xbb\xbf", b"x" * 300, b"\n\n\n", b"a"),
)


def ends_between_events(stream: bytes) -> bool:
    """By the letter (WHATWG HTML, section 9.2.6): its last line is complete, and empty."""
    *lines, rest = re.split(rb"\r\n|\n|\r", stream)
    return not rest and (not lines or not lines[-1])


class EventFuzzer(Fuzzer):
    """Feeds streams in pieces, as parsed data and as whole chunks."""

    name: ClassVar[str] = "events"
    words: ClassVar[Sequence[bytes]] = _PIECES

    def fresh(self, random: Random) -> Case:
        data = b"".join(random.choices(_PIECES, k=random.randint(0, 9)))
        return Case(mutated(random, data, self.words) if random.random() < 0.4 else data)

    async def check(self, case: Case) -> Hashable:
        random = case.random
        wanted = ends_between_events(case.data)
        ways = [[case.data], bytewise(case.data), *(cut(random, case.data) for _ in range(4))]
        for pieces in ways:
            for relayed in (0.0, 0.5, 1.0):
                if fed([piece for piece in pieces if piece], random, relayed) != wanted:
                    raise Fault("where an event ends depends on how it comes", (wanted, pieces))
        return wanted, case.data[-3:].translate(_KINDS), len(case.data) > 5


_KINDS: Final = bytes(code if code in b"\r\n" else 97 for code in range(256))


def fed(pieces: Sequence[bytes], random: Random, relayed: float) -> bool:
    """Whether the stream that came in *pieces* ends between events. Some come as whole chunks."""
    boundary = Boundary()
    written: list[bytes] = []
    relay = Relay(written.append, boundary)
    for piece in pieces:
        if random.random() < relayed and relay.take(chunk(piece)):
            if written.pop() != chunk(piece):
                raise Fault("a chunk is not passed on as it came", piece)
        else:
            boundary.feed(piece)
    return boundary.at_boundary()
