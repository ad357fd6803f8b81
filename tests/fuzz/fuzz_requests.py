"""Raw bytes to a sidecar in front of an origin that takes nothing but what the RFCs allow."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Hashable, Sequence
from contextlib import suppress
from random import Random
from typing import ClassVar, Final, NamedTuple, Self

from tests.fuzz import request_inputs
from tests.fuzz.cases import Case, Fault, Fuzzer
from tests.fuzz.judge import Requests, read_reply, read_requests
from tests.fuzz.lenient import ends
from tests.fuzz.mutate import bytewise, cut, mutated
from tests.fuzz.strict import NotStrict, Request, read_request
from tests.fuzz.world import End, World

_IDS: Final = re.compile(rb"[0-9a-f]{32}|[0-9a-f]{16}")
_LISTENERS: Final = ("plain", "trusting", "tight")
_TIGHT: Final = {"request_line": "100B", "header": "100B", "headers": "400B", "body": "200B"}
_BYTEWISE: Final = 400
"""Bytes. Longer inputs are cut, but not byte by byte."""


class Seen(NamedTuple):
    """A reply that a caller got."""

    status: int
    code: str
    """Of our own error; empty if the origin answered."""
    number: int
    """Which of the requests that the origin got in this trial it answers, from 0; -1 if none."""


class Outcome(NamedTuple):
    """What became of a caller's bytes."""

    replies: tuple[Seen, ...]
    closed: bool
    requests: tuple[Hashable, ...]
    """What the origin got, without what differs each time."""


class Origin(End):
    """Answers each request with its number; notes what is wrong with what it gets."""

    def __init__(self, fuzzer: RequestFuzzer) -> None:
        super().__init__(fuzzer.world)
        self.fuzzer = fuzzer
        self.unread = b""
        self.answering = False

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.unread += data
        try:
            request = None if self.answering else read_request(self.unread)
        except NotStrict as wrong:
            self.fuzzer.faults.append(Fault("what is forwarded is no strict HTTP", wrong))
            return
        if request is not None:
            self.answering = True
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._answer, request)  # time for more, if there is any

    def eof_received(self) -> bool:
        super().eof_received()
        self.reset()
        return True

    def _answer(self, request: Request) -> None:
        if len(self.unread) > len(request.raw):
            self.fuzzer.faults.append(Fault("bytes came before a reply", self.unread))
        self.unread, self.answering = b"", False
        self.fuzzer.requests.append(request)
        self.send(reply_to(request, len(self.fuzzer.requests) - 1))


def reply_to(request: Request, number: int) -> bytes:
    """The origin's reply: whole, and with the request's number in it."""
    body = b"request %d" % number
    head = b"HTTP/1.1 200 OK\r\nx-number: %d\r\nx-method: %b\r\nContent-Length: %d\r\n\r\n" % (
        number,
        request.method,
        len(body),
    )
    return head if request.method == b"HEAD" else head + body


class RequestFuzzer(Fuzzer):
    """Each input goes to a listener in several segmentations, which must all do the same."""

    name: ClassVar[str] = "requests"
    share: ClassVar[int] = 4
    words: ClassVar[Sequence[bytes]] = request_inputs.WORDS

    def __init__(self) -> None:
        self.requests: list[Request] = []
        """What the origin got in this trial."""
        self.faults: list[Fault] = []

    async def __aenter__(self) -> Self:
        self.world = World({})
        self._server = await self.world.origin(lambda: Origin(self))
        self.origin_port: int = self._server.sockets[0].getsockname()[1]
        self.world.config |= configuration(self.origin_port)
        await self.world.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.world.__aexit__(*error)
        self._server.close()

    def fresh(self, random: Random) -> Case:
        data = request_inputs.connection(random)
        if random.random() < 0.5:
            data = mutated(random, data, self.words)
        return Case(data, {"listener": random.choice(_LISTENERS)})

    async def check(self, case: Case) -> Hashable:
        if not case.data:
            return None
        first, *others = segmentations(case)
        outcome = await self._try(case, first)
        for pieces in others:
            other = await self._try(case, pieces)
            if not agree(outcome, other):
                await self._confirm(case, first, pieces)
        return signature(outcome)

    async def audit(self) -> None:
        self.world.check_descriptors()

    async def _confirm(self, case: Case, first: list[bytes], pieces: list[bytes]) -> None:
        """Look again, slowly, before a difference counts."""
        one = await self._try(case, first, long=True)
        other = await self._try(case, pieces, long=True)
        if not agree(one, other):
            raise Fault("segmentation changes the outcome", f"{one}\n{other}\n{pieces}")

    async def _try(self, case: Case, pieces: list[bytes], *, long: bool = False) -> Outcome:
        """Send *pieces*, and look at what comes of them."""
        self.requests.clear()
        self.faults.clear()
        caller = await self.world.caller(_LISTENERS.index(case.options["listener"]))
        try:
            outcome = await self._converse(case, caller, pieces, long)
        finally:
            if case.random.random() < 0.06:  # each takes a port for a minute
                caller.close()
            else:
                caller.reset()
            await self.world.is_empty()
        if outcome is None:
            return await self._try(case, pieces, long=True)
        self._is_well()
        return outcome

    async def _converse(
        self, case: Case, caller: End, pieces: list[bytes], long: bool
    ) -> Outcome | None:
        """What came of *pieces*; None if that should be looked at again, with more patience."""
        for piece in pieces:
            if caller.closed:
                break
            caller.send(piece)
            await self.world.turn()
        await self.world.rests(long=long)
        if self.faults:
            raise self.faults[0]
        judged = read_requests(case.data)
        outcome = self._read(caller, judged)
        if not caller.closed and len(outcome.replies) < judged.complete:
            if not long:
                return None
            raise Fault("whole requests are not answered", f"{judged}, {outcome}")
        return outcome

    def _is_well(self) -> None:
        """Nothing went wrong that the caller could not see."""
        self.world.is_well()
        for request in self.requests:
            check_forwarded(request)

    def _read(self, caller: End, judged: Requests) -> Outcome:
        replies = read_replies(caller.received, caller.closed, judged.methods)
        for seen in replies:
            if seen.status == 500:
                raise Fault("a bug of ours was answered with 500", caller.received)
        numbers = [seen.number for seen in replies if not seen.code]
        if numbers != list(range(len(numbers))) or len(numbers) > len(self.requests):
            raise Fault("replies are not those to the caller's requests", caller.received)
        requests = tuple(masked(request) for request in self.requests)
        return Outcome(tuple(replies), caller.closed, requests)


def configuration(port: int) -> dict[str, object]:
    """A sidecar with the usual listener, one that trusts its callers, and one with low limits."""
    listener = {"address": "127.0.0.1:0", "keep_alive": "1h"}
    return {
        "listeners": [
            {**listener, "address": "127.0.0.1:0"},
            {**listener, "address": "127.0.0.2:0", "trust": {"headers": True}},
            {**listener, "address": "127.0.0.3:0", "limits": {**_TIGHT, "header_count": 10}},
        ],
        "upstreams": {"u": {"endpoints": [{"url": f"http://127.0.0.1:{port}"}]}},
        "routes": [
            {"match": {"path": "/stream"}, "upstream": "u", "policy": {"hold": "4B"}},
            {"match": {"model": "alias"}, "upstream": "u", "model": "real"},
            {"match": {}, "upstream": "u"},
        ],
        "policies": {"default": {"retry": {"max": 0}}},
    }


def segmentations(case: Case) -> list[list[bytes]]:
    """Whole first, then in pieces."""
    random = case.random
    found = [[case.data], cut(random, case.data), cut(random, case.data)]
    if len(case.data) <= _BYTEWISE and random.random() < 0.25:
        found.append(bytewise(case.data))
    return found


def read_replies(data: bytes, closed: bool, methods: Sequence[bytes]) -> list[Seen]:
    """The replies that a caller got, each judged by h11.

    *methods*: what it asked for, as far as h11 has read that. Behind that each may be a HEAD.
    """
    if not data:
        return []
    if methods:
        return _replies(data, closed, methods[0], methods[1:])
    try:
        return _replies(data, closed, b"GET", ())
    except Fault as fault:
        with suppress(Fault):
            return _replies(data, closed, b"HEAD", ())
        raise fault from None


def _replies(data: bytes, closed: bool, method: bytes, methods: Sequence[bytes]) -> list[Seen]:
    """The same, where the first answers *method*."""
    reply = read_reply(data, method, closed=closed)
    if said := reply[b"x-method"]:
        reply = read_reply(data, said, closed=closed)
    if reply.interim and not (reply.status or reply.broken or closed):
        return []  # so far it was only told to continue
    if reply.broken or not reply.complete:
        raise Fault("a reply is no HTTP", f"{reply.broken or 'it is cut short'}: {data!r}")
    code = reply[b"x-sidecar-error"].decode()
    answers = int(reply[b"x-number"] or -1)
    if not code and answers < 0 and (reply.status, reply.body) == (200, b""):
        code = "no hop is left"  # OPTIONS with Max-Forwards: 0, which the sidecar answers
    if not code and said != b"HEAD" and reply.body != b"request %d" % answers:
        raise Fault("a reply's body is another's", data)
    seen = Seen(reply.status, code, answers)
    return [seen, *read_replies(reply.rest, closed, methods)]


def agree(one: Outcome, other: Outcome) -> bool:
    """Whether two segmentations of one input came to the same.

    One may end sooner, with an error of ours, and with another one: some are known, and the
    connection closed, before the rest of a request has come.
    """
    short, long = sorted((one, other), key=lambda outcome: len(outcome.replies))
    if _ends_early(short):
        kept = len(short.replies) - 1
        return (
            short.replies[:kept] == long.replies[:kept]
            and bool(long.replies[kept].code)
            and short.requests == long.requests[: len(short.requests)]
        )
    return short == long or (
        _ends_early(long) and short._replace(closed=True) == long  # the same, and not closed
    )


def _ends_early(outcome: Outcome) -> bool:
    return outcome.closed and bool(outcome.replies) and bool(outcome.replies[-1].code)


def check_forwarded(request: Request) -> None:
    """Nobody reads what was forwarded otherwise than it is meant."""
    found = ends(request.raw)
    found.pop(len(request.raw), None)
    for end, reader in found.items():
        raise Fault("a careless server reads another request", f"{end}, {reader}: {request.raw!r}")


def masked(request: Request) -> Hashable:
    """*request* without the ids that differ each time."""
    fields = tuple((name, _IDS.sub(b"ID", value)) for name, value in request.fields)
    trailers = tuple(request.trailers)
    return request.method, request.target, fields, request.body, trailers, request.chunked


def signature(outcome: Outcome) -> Hashable:
    """What is new about an outcome, if it is."""
    replies = tuple((seen.status, seen.code) for seen in outcome.replies)
    return replies, outcome.closed, len(outcome.requests)
