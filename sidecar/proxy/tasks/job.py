"""Have a task done: ask the model, check its answer, ask once more if need be."""

from __future__ import annotations

import copy
from functools import reduce
from typing import TYPE_CHECKING, Final, NamedTuple

from sidecar.errors import BadOutput, CallError
from sidecar.llm.dialects import APIS, error_body
from sidecar.llm.request import read
from sidecar.llm.tasks.answered import MOST, Answered, TaskStream, finish_of, whole
from sidecar.llm.tasks.prompts import mended, request_body
from sidecar.llm.texts import text_of
from sidecar.llm.usage import added
from sidecar.proxy.local import LocalReply
from sidecar.proxy.record import REPAIR
from sidecar.proxy.reply import transformed
from sidecar.proxy.sink import NullSink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecar.http.message import Header, ResponseHead
    from sidecar.llm.failures import Failure
    from sidecar.llm.tasks.asked import Asked
    from sidecar.llm.tasks.prompts import Turn
    from sidecar.llm.tasks.task import Choice
    from sidecar.observe.stats import Stats
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.record import AttemptRecord
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request
    from sidecar.proxy.routing.router import Route

_JSON: Final = b"\r\nContent-Type: application/json"
_KEPT: Final = (b"retry-after", b"retry-after-ms", b"x-should-retry")
"""Headers of an upstream's error that callers still get."""


class Passed(NamedTuple):
    """A chat that names a task. Its reply is the caller's as it is."""

    route: Route
    request: Request

    async def done(self, call: Call, request: Request, stack: Layer) -> Reply:
        """Pass it on."""
        return await stack(call, request)


class Job(NamedTuple):
    """A task to be done for one call."""

    asked: Asked
    choice: Choice
    system: str | None
    turn: Turn
    route: Route
    request: Request
    stats: Stats

    async def done(self, call: Call, request: Request, stack: Layer) -> Reply:
        """Return the reply for the caller. *request*: what *stack* is asked.

        Raise CallError if there is no answer, BadOutput if it is not in its format.
        """
        try:
            if self.asked.stream:
                return await self._streamed(call, request, stack)
            return await self._whole(call, request, stack)
        except CallError as error:
            self._count("invalid" if isinstance(error, BadOutput) else "failed")
            raise

    async def _streamed(self, call: Call, request: Request, stack: Layer) -> Reply:
        reply = await stack(call, request)
        fields = reply.head.fields
        if reply.head.status >= 400:
            return self._failed(call, await _collect(reply))
        kind = fields.get(b"content-type", b"").lower()
        if b"event-stream" not in kind or b"content-encoding" in fields:
            reply.abandon()
            raise BadOutput("the upstream does not answer with a stream of events")
        self._count("streamed")
        text = call.request_id.decode("latin-1")
        return transformed(reply, TaskStream(self.asked, self.choice.dialect, text))

    async def _whole(self, call: Call, request: Request, stack: Layer) -> Reply:
        got = await _collect(await stack(call, request))
        if got.head.status >= 400:
            return self._failed(call, got)
        call.attempt = got.attempt
        text, answered = self._read(got)
        if not answered.valid and self.asked.task.repair:
            got, answered = await self._repaired(call, request, stack, text, answered)
        if not answered.valid:
            raise BadOutput(f"the model's answer can't be used: {answered.output}")
        self._count("repaired" if answered.repaired else "ok")
        return _made(call, 200, _JSON, whole(self.asked, answered), got)

    def _read(self, got: _Collected) -> tuple[str, Answered]:
        """Return the text and what it is; where it is not valid, `output` says why."""
        body = got.body()
        found, text = APIS[self.choice.dialect].reply(body), text_of(self.choice.dialect, body)
        if found is None or text is None:
            raise BadOutput("the upstream's reply has no text in it")
        checked = self.asked.format.check(text)
        return text, Answered(
            checked.output if checked.wrong is None else checked.wrong,
            found.model,
            found.id,
            finish_of(found.finish_reasons),
            found.usage,
            valid=checked.wrong is None,
        )

    async def _repaired(
        self, call: Call, request: Request, stack: Layer, text: str, first: Answered
    ) -> tuple[_Collected, Answered]:
        """Ask once more. An answer that can't be had is as good as one that is not valid."""
        wrong = str(first.output)
        if first.finish == "length":
            wrong += f", as it was cut off at {self.asked.max_tokens} tokens"
        call.note("repair", wrong)
        turns = mended(self.turn, text, wrong)
        body = request_body(self.asked, self.choice, self.system, turns)
        call.asked = read(body, b"application/json")
        call.body.count_copies(len(body))
        again = request.replace(
            content=body, why=REPAIR, reason=BadOutput.code, since=len(call.attempts)
        )
        got = await _collect(await stack(call, again))
        if got.head.status >= 400:
            raise BadOutput(f"the model's answer can't be used: {wrong}")
        call.attempt = got.attempt = _both(call.attempt, got.attempt)
        _, second = self._read(got)
        usages = [each.usage for each in (first, second) if each.usage is not None]
        return got, Answered(
            second.output,
            second.model,
            second.id,
            second.finish,
            reduce(added, usages) if usages else None,
            second.valid,
            repaired=True,
        )

    def _failed(self, call: Call, got: _Collected) -> Reply:
        """Return an upstream's error in the form of ours."""
        self._count("failed")
        head, failure = got.head, got.failure
        text = call.request_id.decode("latin-1")
        message = (failure and failure.message) or f"the upstream answers {head.status}"
        code = (failure and (failure.code or failure.kind)) or "upstream_error"
        lines = b"".join(
            b"\r\n%b: %b" % (name, head.fields[name]) for name in _KEPT if name in head.fields
        )
        body = error_body("openai", head.status, code, message, text)
        return _made(call, head.status, _JSON + lines, body, got)

    def _count(self, result: str) -> None:
        self.stats.tasks[self.asked.task.name][result] += 1


class _Collected(NullSink):
    """A whole reply, up to a bound."""

    head: ResponseHead
    attempt: AttemptRecord | None = None
    """The attempt that it answers."""
    failure: Failure | None = None
    """What kind of failure it is, where it is one."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def body(self) -> bytes:
        """Return the body. Raise BadOutput if it is too long, or coded."""
        if self._size > MOST or b"content-encoding" in self.head.fields:
            raise BadOutput("the upstream's reply is too long, or has a content coding")
        return b"".join(self._pieces)

    def begin(
        self, head: ResponseHead, data: list[bytes], ended: bool, trailers: Sequence[Header]
    ) -> None:
        """Keep head and data."""
        self.head = head
        self.write(data, ended, trailers)

    def write(self, data: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        """Keep data, until it is too much."""
        self._size += sum(map(len, data))
        if self._size <= MOST:
            self._pieces += data
        else:
            self._pieces.clear()


async def _collect(reply: Reply) -> _Collected:
    """Read *reply* to its end. Raise CallError if it breaks."""
    try:
        found = _Collected()
        reply.write_into(found)
        if not reply.ended:
            await reply.finish()
        found.attempt, found.failure = reply.attempt, reply.failure
        return found
    finally:
        if not reply.settled:
            reply.abandon()


def _made(call: Call, status: int, lines: bytes, body: bytes, got: _Collected) -> LocalReply:
    """Return a reply that we make of an upstream's."""
    made = LocalReply(call, status, lines, body)
    made.attempt = got.attempt
    return made


def _both(first: AttemptRecord | None, second: AttemptRecord | None) -> AttemptRecord | None:
    """Return the record of the *second* attempt, with the tokens of both: they were paid for."""
    if first is None or first.said is None or second is None or second.said is None:
        return second
    one, other = first.said.usage, second.said.usage
    if one is None:
        return second
    both = copy.copy(second)
    both.said = second.said._replace(usage=one if other is None else added(one, other))
    return both
