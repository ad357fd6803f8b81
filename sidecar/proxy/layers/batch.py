"""One batch: calls for embeddings that wait for each other, and the joint call that they become.

The joint call is detached: it has the head, the trace and the ids of the first caller, a task of
its own, and the latest deadline of all callers, so that no member is needed for it. It ends when
the last one has left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Final, Literal

from sidecar.errors import Truncated, forget_frames, told_again
from sidecar.http.fields import Fields
from sidecar.http.headers import REPLY_FIELDS, response_lines
from sidecar.llm.batch import Answer, Part, merge, split
from sidecar.llm.request import read
from sidecar.llm.usage import added, of_openai
from sidecar.policy.batching import Load
from sidecar.proxy.detached import carry, charge, detach
from sidecar.proxy.layers.keyed import PLAIN
from sidecar.proxy.layers.patience import in_time
from sidecar.proxy.local import LocalReply
from sidecar.proxy.sink import NullSink

if TYPE_CHECKING:
    from sidecar.errors import CallError
    from sidecar.http.message import Header, ResponseHead
    from sidecar.llm.batch import Asked
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.record import AttemptRecord
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request

Outcome = Literal["answered", "refused", "unread", "failed", "left"]
"""What became of a joint call: its reply was split; one bad item may be the reason for its status,
or its reply can't be split, so that its callers are asked for one by one; it failed for all; nobody
waited for it."""
_MAY_BE_AN_ITEMS: Final = frozenset({400, 413, 422, 500})
"""Statuses that one bad item causes. llama.cpp's server says 500 if a text is too long."""
_OUR_OWN: Final = frozenset({400, 413, 422})
"""Statuses of our own refusals that one item causes: it has a secret, or a guard refuses it."""
_OF_THE_BODY: Final = frozenset(
    {
        b"content-digest", b"content-length", b"content-md5", b"digest", b"etag", b"repr-digest",
    }
)  # fmt: skip
"""Header fields that are about the joint body (RFC 9110, section 8; RFC 9530)."""
_NAMED: Final = 32
"""Dropped items that are named in a reply."""


class Batch(NullSink):
    """The sink of the joint call. Members join until it is sent.

    *most*: bytes of its reply that are kept. *over* is called once it has ended.
    """

    def __init__(self, most: int, over: Callable[[Batch, Outcome], None]) -> None:
        self.members: list[Member] = []
        self.load = Load()
        self.sent = 0
        """Calls that it was sent for; 0: it is open."""
        self._most = most
        self._over = over
        self._head: ResponseHead | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._reply: Reply | None = None
        self._task: asyncio.Task[None] | None = None
        self._running = False

    def __repr__(self) -> str:
        return f"<Batch of {len(self.members)} calls, {self.load.items} items>"

    def join(self, call: Call, request: Request, asked: Asked, load: Load) -> Member:
        """Return a new member."""
        member = Member(self, call, request, asked, load)
        self.members.append(member)
        self.load = self.load.plus(load)
        return member

    def leave(self, member: Member) -> None:
        """Forget *member*."""
        if member not in self.members:
            return
        self.members.remove(member)
        if not self.sent:
            self.load = self.load.minus(member.load)
        elif not self.members and self._task is not None and self._running:
            self._task.cancel()

    def send(self, inner: Layer) -> None:
        """Begin the joint call. There must be a member."""
        sent = self.members[:]
        self.sent = len(sent)
        first = sent[0]
        content = merge([member.asked for member in sent])
        request = first.request.edited(PLAIN).replace(content=content, key=None)
        call, request = detach(first.call, request)
        if call.asked is not None:  # where an alias may replace the model
            call.asked = read(content, b"application/json")
        deadlines = [member.call.deadline for member in sent]
        known = [deadline for deadline in deadlines if deadline is not None]
        call.deadline = max(known) if len(known) == len(deadlines) else None
        self._task = asyncio.create_task(self._carry(inner, call, request, sent))

    async def _carry(
        self, inner: Layer, call: Call, request: Request, sent: Sequence[Member]
    ) -> None:
        self._running = True
        if not self.members:  # they left in the step in which it was sent
            call.body.free()
            self._over(self, "left")
            return
        error = await carry(inner, call, request, self, self._begun)
        outcome: Outcome = "left"
        if self.members:
            outcome = self._tell(error, call, sent)
            self.members[0].pay(call)
        self.members = []  # they refer to this batch
        self._reply = self._task = None
        forget_frames(error)
        self._over(self, outcome)

    def _tell(self, error: CallError | None, call: Call, sent: Sequence[Member]) -> Outcome:
        """Tell each member what comes of its call; those that have left are told in vain."""
        reply, head = self._reply, self._head
        if self._size > self._most or isinstance(error, Truncated):
            return self._apart(sent, "unread")  # no caller has got a byte of it
        if error is not None and error.status in _OUR_OWN and len(sent) > 1:
            return self._apart(sent, "refused")
        if error is not None or reply is None or head is None:
            for member in sent:
                member.fail(told_again(error or Truncated("there is no joint reply")), call)
            return "failed"
        body = b"".join(self._pieces)
        lines = Fields(response_lines(head), REPLY_FIELDS).without(_OF_THE_BODY)
        if head.status < 300:
            readable = head.status == 200 and b"content-encoding" not in head.fields.known
            parts = [Part(member.asked.places, sum(member.asked.tokens)) for member in sent]
            answers = split(body, parts) if readable else None
            if answers is None:
                return self._apart(sent, "unread")
            gone = [a for m, a in zip(sent, answers, strict=True) if m not in self.members]
            for member, answer in zip(sent, answers, strict=True):
                made = _made(member.call, head, lines, answer.body)
                # What those who left have used is in the record of the one that pays.
                used = [answer, *gone] if member is self.members[0] else [answer]
                made.attempt = _shared_out(reply.attempt, used)
                member.answer(made, call)
            return "answered"
        if head.status in _MAY_BE_AN_ITEMS and len(sent) > 1:
            return self._apart(sent, "refused")
        for member in sent:
            made = _made(member.call, head, lines, body)
            made.attempt, made.failure = reply.attempt, reply.failure
            member.answer(made, call)
        return "failed"

    def _apart(self, sent: Sequence[Member], why: Outcome) -> Outcome:
        for member in sent:
            member.go_alone()
        return why

    # -- what the reply calls --

    def _begun(self, reply: Reply) -> None:
        self._reply = reply

    def begin(
        self, head: ResponseHead, data: list[bytes], ended: bool, trailers: Sequence[Header]
    ) -> None:
        """Keep the head."""
        self._head = head
        self.write(data, ended, trailers)

    def write(self, data: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        """Keep the body, up to a bound."""
        self._size += sum(map(len, data))
        if self._size <= self._most:
            self._pieces += data
        elif self._pieces:
            self._pieces = []
            if self._task is not None:
                self._task.cancel()


class Member:
    """One caller of a batch."""

    def __init__(
        self, batch: Batch, call: Call, request: Request, asked: Asked, load: Load
    ) -> None:
        self.call = call
        self.request = request
        self.asked = asked
        self.load = load
        self._batch = batch
        self._reply: Reply | None = None
        self._error: CallError | None = None
        self._turn = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"<Member of {self._batch!r}>"

    async def arrival(self) -> Reply | None:
        """Wait for the reply. None: the call is to be made alone. Raise CallError if it fails."""
        try:
            await in_time(self.call, self._turn)
        finally:
            self._batch.leave(self)
        if self._error is not None:
            raise self._error
        return self._reply

    def go_alone(self) -> None:
        """Let the call be made as if there were no batch."""
        self._wake()

    def answer(self, reply: Reply, carried: Call) -> None:
        """Give the caller *reply*."""
        self._reply = reply
        self._learn(carried)
        items = self._batch.load.items
        self.call.told += b"\r\nx-sidecar-batch: %d" % items
        self.call.note("batch", f"travelled with {items} items of {self._batch.sent} calls")
        if self.asked.empty:
            self.call.told += dropped_line(self.asked.empty)
        self._wake()

    def fail(self, error: CallError, carried: Call) -> None:
        """Let the call fail."""
        self._error = error
        self._learn(carried)
        self._wake()

    def pay(self, carried: Call) -> None:
        """Have the attempts in the record of this call."""
        charge(self.call, carried)
        self.call.attempt = self.call.attempt or carried.attempt

    def _learn(self, carried: Call) -> None:
        self.call.final, self.call.operation = carried.final, carried.operation
        self.call.told += carried.told

    def _wake(self) -> None:
        if not self._turn.done():
            self._turn.set_result(None)


def dropped_line(empty: Sequence[int]) -> bytes:
    """Return the header line that names items which were not asked for."""
    named = b", ".join(b"%d" % place for place in empty[:_NAMED])
    more = b", and %d more" % (len(empty) - _NAMED) if len(empty) > _NAMED else b""
    return b"\r\nx-sidecar-dropped: %b%b; empty" % (named, more)


def _made(call: Call, head: ResponseHead, lines: bytes, body: bytes) -> LocalReply:
    made = LocalReply(call, head.status, lines, body)
    made.head.reason = head.reason
    return made


def _shared_out(attempt: AttemptRecord | None, used: Sequence[Answer]) -> AttemptRecord | None:
    """Return the record of the joint attempt, with the tokens of *used* alone."""
    if attempt is None or attempt.said is None:
        return attempt
    mine = attempt.copied()
    told = [usage for answer in used if (usage := of_openai(answer.usage)) is not None]
    mine.said = attempt.said._replace(
        usage=reduce(added, told) if told else None, model=used[0].model
    )
    return mine
