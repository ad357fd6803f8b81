"""Raw replies of an origin, on their way to callers through a sidecar that may try again."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Hashable, Sequence
from random import Random
from typing import ClassVar, Final, NamedTuple, Self

from tests.fuzz import reply_inputs
from tests.fuzz.cases import Case, Fault, Fuzzer
from tests.fuzz.judge import Reply, read_reply
from tests.fuzz.mutate import bytewise, cut, mutated
from tests.fuzz.strict import Request, read_request
from tests.fuzz.world import End, World

_ROUTES: Final = ("plain", "plain", "retry", "hedge", "mirror")
_CALLERS: Final = (("GET", "1.1"), ("GET", "1.1"), ("HEAD", "1.1"), ("POST", "1.1"), ("GET", "1.0"))
_BYTEWISE: Final = 300
_HEDGE_AFTER: Final = "1ms"
_HELD: Final = 0.01
"""Seconds. No second attempt is made at an endpoint that has just told of a rate limit."""
_INTERIMS: Final = rb"(?:HTTP/1\.1 1\d\d[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n)*"
_JUSTIFIED: Final = [
    # Empty lines before a message are ignored (RFC 9112, section 2.2, says so of requests).
    rb"\w+: " + _INTERIMS + rb"[\r\n]",
    # A status line that is spelled otherwise, where the same one, well spelled, stands further on.
    rb"\w+: " + _INTERIMS + rb"(?!HTTP/1\.[01] \d).*HTTP/1\.[01] \d",
    # Section 6.3, rule 1: such a reply has no body, whatever its fields say.
    rb"HEAD: ",
    rb"\w+: " + _INTERIMS + rb"HTTP/\S+ (?:204|304)",
]
"""What the sidecar takes and h11 does not: the method, and how the reply begins."""


class Told(NamedTuple):
    """What a caller knows of the reply, in short."""

    whole: bool
    """It came to its end. If not, the caller can tell that it did not."""
    status: int
    body: bytes
    code: str
    """Of an error of ours."""
    good: bool
    """It is the reply of a second attempt, which was good."""
    route: str


class Origin(End):
    """Plays the case's reply to the first request of a trial, and good ones to all others."""

    def __init__(self, fuzzer: ReplyFuzzer, mirrored: bool) -> None:
        super().__init__(fuzzer.world)
        self.fuzzer = fuzzer
        self.mirrored = mirrored
        self.unread = b""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.unread += data
        while (request := read_request(self.unread)) is not None:
            self.unread = self.unread[len(request.raw) :]
            self.fuzzer.on_request(self, request)

    def eof_received(self) -> bool:
        super().eof_received()
        self.reset()
        return True

    async def play(self, pieces: Sequence[bytes], closes: bool) -> None:
        for piece in pieces:
            self.send(piece)
            await self.world.turn()
        if closes:
            self.close()


def good_reply(request: Request, number: int) -> bytes:
    """A whole reply with a number that no other has."""
    body = b"good %d" % number
    head = b"HTTP/1.1 200 OK\r\nx-good: %d\r\nContent-Length: %d\r\n\r\n" % (number, len(body))
    return head if request.method == b"HEAD" else head + body


class ReplyFuzzer(Fuzzer):
    """Each reply is sent in several segmentations, to one kind of caller by one kind of route."""

    name: ClassVar[str] = "replies"
    share: ClassVar[int] = 4
    words: ClassVar[Sequence[bytes]] = reply_inputs.WORDS

    def __init__(self) -> None:
        self._number = 0
        self._case = Case(b"")
        self._pieces: list[bytes] = []
        self._played: set[bool] = set()
        """Whether it was played to a call, or to its copy."""
        self._held: list[Origin] = []
        self._copied: list[Origin] = []
        """Who plays to a copy: the sidecar waits for it, whether the caller is there or not."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._good: set[int] = set()
        """Numbers of the good replies of this trial."""

    async def __aenter__(self) -> Self:
        self.world = World({})
        self._server = await self.world.origin(lambda: Origin(self, False))
        self._copies = await self.world.origin(lambda: Origin(self, True))
        ports = [server.sockets[0].getsockname()[1] for server in (self._server, self._copies)]
        self.world.config |= configuration(*ports)
        await self.world.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.world.__aexit__(*error)
        self._server.close()
        self._copies.close()

    def fresh(self, random: Random) -> Case:
        data = reply_inputs.reply(random)
        if random.random() < 0.5:
            data = mutated(random, data, self.words)
        method, version = random.choice(_CALLERS)
        options = {"method": method, "version": version, "route": random.choice(_ROUTES)}
        return Case(data, {**options, "closes": random.choice(("", "yes"))})

    async def check(self, case: Case) -> Hashable:
        first, *others = segmentations(case)
        told = await self._try(case, first)
        for pieces in others:
            other = await self._try(case, pieces)
            if not agree(told, other) and not justified(case):
                await self._confirm(case, first, pieces)
        return told._replace(body=b"")

    async def audit(self) -> None:
        self.world.check_descriptors()

    async def _confirm(self, case: Case, first: list[bytes], pieces: list[bytes]) -> None:
        one = await self._try(case, first, long=True)
        other = await self._try(case, pieces, long=True)
        if not agree(one, other):
            raise Fault("segmentation changes the outcome", f"{one}\n{other}\n{pieces}")

    # -- the origin's side --

    def on_request(self, origin: Origin, request: Request) -> None:
        """Answer *request*, as the case wants it."""
        first = origin.mirrored not in self._played and request.target != b"/next"
        wanted = origin.mirrored == (self._case.options["route"] == "mirror")
        if first and wanted:
            self._played.add(origin.mirrored)
            if self._case.options["route"] == "hedge":
                self._held.append(origin)  # until the second attempt is there, or does not come
                asyncio.get_running_loop().call_later(_HELD, self._release)
            else:
                self._plays(origin)
            if origin.mirrored:
                self._copied.append(origin)
            return
        self._number += 1
        self._good.add(self._number)
        self._release()
        loop = asyncio.get_running_loop()
        reply = good_reply(request, self._number)
        if self._case.random.random() < 0.5:
            origin.send(reply)
        else:  # behind the beginning of the first attempt's
            loop.call_soon(loop.call_soon, origin.send, reply)

    def _release(self) -> None:
        held, self._held[:] = list(self._held), []
        for origin in held:
            self._plays(origin)

    def _plays(self, origin: Origin) -> None:
        task = asyncio.create_task(origin.play(self._pieces, bool(self._case.options["closes"])))
        self.world.own.add(task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self.world.own.discard)

    # -- the caller's side --

    async def _try(self, case: Case, pieces: list[bytes], *, long: bool = False) -> Told:
        """Have one call answered with *pieces*, and then another one, by a good reply."""
        self._case, self._pieces = case, pieces
        self._played.clear()
        self._held.clear()
        self._good.clear()
        caller = await self.world.caller()
        try:
            told = await self._call(case, caller, long)
        finally:
            caller.reset()
            for task in self._tasks:
                task.cancel()
            for origin in self._copied:
                origin.reset()
            self._copied.clear()
            await self.world.is_empty()
        if told is None:
            return await self._try(case, pieces, long=True)
        self.world.is_well()
        if case.random.random() < 0.3:
            await self._next()
        return told

    async def _call(self, case: Case, caller: End, long: bool) -> Told | None:
        """What the caller is told; None if that should be looked at again, with more patience."""
        options = case.options
        method = options["method"].encode()
        body = b"Content-Length: 2\r\n\r\nhi" if method == b"POST" else b"\r\n"
        first = b"%b /%b HTTP/%b\r\n" % (
            method,
            options["route"].encode(),
            options["version"].encode(),
        )
        caller.send(first + b"Host: a\r\n" + body)
        await self.world.until(lambda: self._played, "the origin got no request")
        truth = read_reply(case.data, method, closed=bool(options["closes"]))
        if not _may_wait(truth, case):
            await self.world.soon(lambda: _is_told(caller, method))
        await self.world.rests(long=long)
        self.raw = caller.received
        reply = read_reply(caller.received, method, closed=caller.ended)
        told = self._told(reply, truth, case)
        if not told.whole and not caller.closed and not _may_wait(truth, case):
            if not long:
                return None
            raise Fault("a caller is left waiting", f"{truth}, {caller.received!r}")
        return told

    def _told(self, reply: Reply, truth: Reply, case: Case) -> Told:
        code, route = reply[b"x-sidecar-error"].decode("latin-1"), case.options["route"]
        if reply.broken and "peer" not in reply.broken:
            raise Fault("what the caller gets is no HTTP", (reply.broken, self.raw))
        if not set(reply.interim) <= set(truth.interim) and not justified(case):
            raise Fault("an interim reply of nobody", reply)
        if not reply.complete:
            return Told(False, reply.status, b"", "", False, route)
        if code and code != "fake":
            return Told(True, reply.status, b"", code, False, route)
        if good := reply[b"x-good"]:
            number = int(good)
            body = b"" if case.options["method"] == "HEAD" else b"good %d" % number
            if number not in self._good or reply.body != body:
                raise Fault("a caller gets a reply that is another's", reply)
            return Told(True, reply.status, b"", "", True, route)
        _check_whole(reply, truth, case)
        return Told(True, reply.status, reply.body, "", False, route)

    async def _next(self) -> None:
        """The call after it gets its own reply, whatever connection it is sent on."""
        caller = await self.world.caller()
        caller.send(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        await self.world.until(
            lambda: read_reply(caller.received, closed=caller.ended).complete,
            "the call after it is not answered",
        )
        reply = read_reply(caller.received, closed=False)
        caller.reset()
        if reply.body != b"good %d" % self._number or reply.rest:
            raise Fault("the call after it gets another's reply", reply)
        await self.world.is_empty()
        self.world.is_well()


def configuration(port: int, copies: int) -> dict[str, object]:
    """A sidecar with a route for each policy that may hide a broken reply."""
    budget = {"ratio": "100%", "min_per_second": 100_000}
    retry = {
        "max": 2,
        "on": ["connect_failure", "reset", "timeout", "bad_reply", "408", "5xx"],
        "backoff": {"base": "1us", "cap": "1us"},
        "retry_after": "1us",  # no case waits for a clock; so 429 is not tried again either
        "budget": budget,
    }
    none = {"max": 0}
    return {
        "listeners": [{"address": "127.0.0.1:0"}],
        "upstreams": {
            "u": {"endpoints": [{"url": f"http://127.0.0.1:{port}"}]},
            "copies": {"endpoints": [{"url": f"http://127.0.0.1:{copies}"}]},
        },
        "routes": [
            {"match": {"path": "/retry"}, "upstream": "u", "policy": {"retry": retry}},
            {
                "match": {"path": "/hedge"},
                "upstream": "u",
                "policy": {"retry": none, "hedge": {"after": _HEDGE_AFTER, "budget": budget}},
            },
            {
                "match": {"path": "/mirror"},
                "upstream": "u",
                "policy": {"retry": none},
                "mirror": {"upstream": "copies"},
            },
            {"upstream": "u", "policy": {"retry": none}},
        ],
        "policies": {"default": {"breaker": None}},
    }


def segmentations(case: Case) -> list[list[bytes]]:
    """Whole first, then in pieces. An empty reply is only a connection that closes."""
    random = case.random
    found = [[case.data], cut(random, case.data)]
    if len(case.data) <= _BYTEWISE and random.random() < 0.3:
        found.append(bytewise(case.data))
    return found


def agree(one: Told, other: Told) -> bool:
    """Whether two segmentations of one reply came to the same.

    A reply that breaks may be answered with an error of ours, or with another attempt's reply, if
    that is known before its head is sent on; else it is cut. These are the same to a caller: none
    of them is taken for the reply. Which attempt wins a hedge is a matter of time.
    """
    if "hedge" in (one.route, other.route) and (one.good or other.good):
        return True
    return _meaning(one) == _meaning(other)


def _meaning(told: Told) -> Hashable:
    if told.whole and not told.code and not told.good:
        return told.status, told.body
    return None


def _check_whole(reply: Reply, truth: Reply, case: Case) -> None:
    """A reply that looks whole is what the origin sent, and the origin sent all of it."""
    if justified(case):
        return
    if not truth.complete:
        raise Fault("a broken reply looks whole", f"{truth}\n{reply}")
    if (reply.status, reply.body) != (truth.status, truth.body):
        raise Fault("a reply is not what the origin sent", f"{truth}\n{reply}")


def justified(case: Case) -> bool:
    """Whether the sidecar may read this reply otherwise than h11."""
    exchange = case.options["method"].encode() + b": " + case.data
    return any(re.match(b"(?is)" + pattern, exchange) for pattern in _JUSTIFIED)


def _is_told(caller: End, method: bytes) -> bool:
    return caller.closed or read_reply(caller.received, method, closed=False).complete


def _may_wait(truth: Reply, case: Case) -> bool:
    """Whether more of the reply may come, so that its caller has to wait."""
    if case.options["closes"]:
        return False
    in_head = not re.search(rb"\n\r?\n", case.data)  # h11 may know sooner that it will be none
    return in_head or not (truth.complete or truth.broken) or justified(case)
