"""What a reply says, read from its bytes as they pass: an attempt's tokens, verdict and failure.

A stream is read by its dialect's reader, split as it comes. A reply in one piece is kept, up to a
bound, and read at its end. Nothing that is read changes a byte of what the caller gets.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from sidecar.errors import BadReply, ErrorReply, NoAnswer
from sidecar.http.message import NO_BODY
from sidecar.llm.coding import is_identity
from sidecar.llm.dialects.base import is_json
from sidecar.llm.dialects.bedrock import usage_in_fields
from sidecar.llm.failures import Failure, read_failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.errors import AttemptError
    from sidecar.http.message import ResponseHead
    from sidecar.llm.dialects import Api, Reply
    from sidecar.llm.stream import Outcome, StreamReader, Verdict
    from sidecar.llm.usage import Usage
    from sidecar.policy.gate import GateSettings
    from sidecar.proxy.record import AttemptRecord
    from sidecar.proxy.sink import Relay

KEPT: Final = 256 * 1024
"""Bytes of a reply in one piece that are kept to be read. Longer ones are embeddings and images."""
_ERROR: Final = 64 * 1024
"""Bytes of an error's body that are read."""
_UNPACKED: Final = 64 * 1024
"""Bytes that are unpacked in one step."""
_WINDOWS: Final[Mapping[bytes, int]] = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
"""zlib's words for what codings begin with."""


class Said(NamedTuple):
    """What a reply has said, once it is over."""

    verdict: Verdict
    usage: Usage | None = None
    model: str | None = None
    """The model that answered."""
    response_id: str | None = None
    finish_reasons: tuple[str, ...] = ()
    failure: Failure | None = None
    chunks: int = 0
    """Events with a piece of the answer."""


class ReplyReader:
    """What a route wants to know of replies to one operation."""

    __slots__ = ("_api", "_gate", "_streams", "_verifies")

    def __init__(
        self, api: Api, gate: GateSettings | None, *, streams: bool, verifies: bool = False
    ) -> None:
        """*streams*: whatever its reply is called, it is a stream of the dialect's values.

        *verifies*: a reply in one piece with status 200 must be a JSON value.
        """
        self._api = api
        self._streams = streams
        self._gate = gate
        self._verifies = verifies

    def __repr__(self) -> str:
        return f"<ReplyReader of {type(self._api).__name__}>"

    def ungated(self) -> ReplyReader:
        """Return one that wants to know the same, and holds no stream back."""
        return ReplyReader(self._api, None, streams=self._streams, verifies=self._verifies)

    def begin(self, head: ResponseHead) -> Reading | None:
        """For the reply that begins with *head*; None where it says nothing that we can read."""
        if head.status in (101, 204):
            return None
        kind = head.fields.known.get(b"content-type", b"").lower()
        json = b"json" in kind
        if head.status < 300 and (b"event-stream" in kind or (json and self._streams)):
            return Reading(self._api, head, self._gate, stream=True)
        verifies = self._verifies and head.status == 200
        page = b"text/html" in kind
        if not json and not (verifies and (page or head.body == NO_BODY)):
            return None
        reading = Reading(self._api, head, None, stream=False)
        reading.verifies, reading.page = verifies, page
        return reading


class Reading:
    """Of one reply. Fed what comes of the body, coded as it may be."""

    __slots__ = (
        "_api", "_head", "_kept", "_most", "_reply", "_size", "_unpack", "gate", "lost", "page",
        "stream", "verifies",
    )  # fmt: skip

    def __init__(
        self, api: Api, head: ResponseHead, gate: GateSettings | None, *, stream: bool
    ) -> None:
        """*stream*: it is a stream of a dialect's events, not one JSON value."""
        self._api = api
        self._head = head
        self.stream: StreamReader | None = api.stream() if stream else None
        self._kept: list[bytes] = []
        self._size = 0
        self._most = _ERROR if head.status >= 400 else KEPT
        self.gate = gate if stream else None
        """While it is there, the reply is held back until it says something."""
        self.verifies = False
        """While it is set, the reply is held back until it is whole, and must be JSON."""
        self.page = False
        """It is a page for people, where a program asked."""
        self._reply: Reply | None = None
        """What a value says, once it has been read."""
        self.lost = False
        """It can't be read: too long, or in a coding that is broken or not ours."""
        coding = head.fields.known.get(b"content-encoding")
        self._unpack: zlib._Decompress | None = None
        if coding is not None and not is_identity(coding):
            window = _WINDOWS.get(coding.strip().lower())
            self.lost = window is None
            if window is not None:
                self._unpack = zlib.decompressobj(window)

    def __repr__(self) -> str:
        return f"<Reading of {'a stream' if self.stream else 'one value'}, lost: {self.lost}>"

    @property
    def coded(self) -> bool:
        """Whether the body has a content coding."""
        return self.lost or self._unpack is not None

    @property
    def answers(self) -> bool:
        """Whether a stream has begun to say something, or won't: it need not be held back."""
        reader = self.stream
        return (
            self.lost or reader is None or reader.content or reader.unknown or bool(reader.finished)
        )

    def may_pass(self, size: int) -> bool:
        """Whether what is here goes on to the caller, *size* bytes of a body."""
        gate = self.gate
        return size > 0 and (
            gate is None or self.answers or size > gate.bytes or self._failed_for_good
        )

    @property
    def _failed_for_good(self) -> bool:
        """Whether a stream begins with an error that no other attempt mends."""
        return self.stream is not None and self.stream.error is not None

    @property
    def pending(self) -> bool:
        """Whether what it says decides if it goes on at all."""
        return self.gate is not None or self.verifies

    def decide(self) -> None:
        """It goes on, whatever it says."""
        self.gate, self.verifies = None, False

    def fails(self, endpoint: str, *, ended: bool) -> AttemptError | None:
        """Why what is here of the reply makes it a failed attempt; None if it does not.

        An error that no other attempt mends (a bad request, say) goes on as the provider tells it.
        """
        if self.stream is None:
            return self._value_fails(endpoint, ended) if self.verifies else None
        reader = self.stream
        if ended:
            reader.flush()
        if self.lost or reader.content:
            return None
        if reader.error is not None:
            return _told(reader.error, NoAnswer(_instead(endpoint, reader.error)))
        if not ended or reader.finished or reader.unknown:
            return None
        return NoAnswer(f"{endpoint} sent an empty stream", code="empty_stream")

    def _value_fails(self, endpoint: str, ended: bool) -> AttemptError | None:
        if self.page:
            return BadReply(f"{endpoint} sent a page of HTML instead of an answer")
        if not ended or self.lost:
            return None
        body = b"".join(self._kept)
        if not body.strip():
            return BadReply(f"{endpoint} sent an empty reply instead of an answer")
        self._reply = self._api.reply(body)
        if self._reply is None:
            return None if is_json(body) else BadReply(f"{endpoint} sent a reply that is no JSON")
        failure = self._reply.error
        return None if failure is None else _told(failure, ErrorReply(_instead(endpoint, failure)))

    @property
    def terminal(self) -> bool:
        """Whether a stream has come to the event that is its last."""
        return self.stream is not None and self.stream.terminal and not self.lost

    def feed(self, data: bytes) -> None:
        """*data* came."""
        if self.lost:
            return
        if self._unpack is None:
            self._take(data)
        else:
            self._take_packed(data)

    def end(self, how: Outcome, unix_now: float) -> Said:
        """The reply is over. *unix_now*: wall clock, since a wait may be told as a date."""
        head, reader = self._head, self.stream
        if reader is not None:
            verdict = reader.finish(how)
            if self.lost and verdict in ("truncated", "empty"):
                verdict = "complete" if how == "ended" else verdict
            return Said(
                verdict,
                reader.usage,
                reader.model,
                reader.response_id,
                reader.finish_reasons,
                reader.error,
                reader.chunks,
            )
        body, self._kept = b"".join(self._kept), []
        if head.status >= 400:
            readable = b"" if self.lost else body
            return Said("error", failure=read_failure(head.status, head.fields, readable, unix_now))
        if how != "ended":
            return Said({"cut": "truncated", "stalled": "stalled"}.get(how, "aborted"))  # type: ignore[arg-type]
        reply = self._reply
        if reply is None and body and not self.lost:
            reply = self._api.reply(body)
        usage = usage_in_fields(head.fields) if reply is None or not reply.usage else reply.usage
        if reply is None:
            return Said("complete", usage)
        return Said(
            "error" if reply.error is not None else "complete",
            usage,
            reply.model,
            reply.id,
            reply.finish_reasons,
            reply.error,
        )

    def failed(self, unix_now: float) -> Failure | None:
        """The failure that a whole error reply tells; None where it is none."""
        if self._head.status < 400 or self.stream is not None:
            return None
        body = b"" if self.lost else b"".join(self._kept)
        return read_failure(self._head.status, self._head.fields, body, unix_now)

    def _take(self, data: bytes) -> None:
        reader = self.stream
        if reader is not None:
            reader.feed(data)
            return
        self._size += len(data)
        if self._size > self._most:
            self._kept.clear()
            self.lost = True
        else:
            self._kept.append(data)

    def _take_packed(self, data: bytes) -> None:
        unpack = self._unpack
        assert unpack is not None
        try:
            while data and not unpack.eof:
                piece = unpack.decompress(data, _UNPACKED)
                data = unpack.unconsumed_tail
                if piece:
                    self._take(piece)
                if self.lost:
                    return
        except zlib.error:
            self.lost = True
            self._kept.clear()


def _instead(endpoint: str, failure: Failure) -> str:
    return f"{endpoint} sent an error instead of an answer: {failure.message or failure.code}"


def _told(failure: Failure, error: NoAnswer) -> NoAnswer | None:
    """Return *error* with what *failure* tells; None if no other attempt mends it."""
    if not failure.temporary and failure.kind != "money":
        return None
    error.retry_after = failure.retry_after
    error.status = failure.status
    error.endpoint_failed = failure.kind in ("overload", "server")
    error.again = failure.temporary
    error.kind = failure.kind
    return error


def _no(data: bytes, begin: int, end: int) -> bool:
    return False


class ReadingRelay:
    """Lets a stream's reader see the data of each chunk that the relay inside has passed on.

    It runs for every token of every stream: what it calls is looked up once.
    """

    __slots__ = (
        "_attempt", "_feed", "_gap", "_on_terminal", "_reader", "_reading", "_relay", "_silent",
        "_skims", "_take",
    )  # fmt: skip

    def __init__(
        self,
        relay: Relay,
        reading: Reading,
        attempt: AttemptRecord,
        on_terminal: Callable[[], None],
    ) -> None:
        """*reading* must be of a stream."""
        assert reading.stream is not None
        self._relay = relay
        self._take = relay.take
        self._reading = reading
        self._reader = reading.stream
        self._feed = reading.feed if reading.coded else reading.stream.feed
        self._skims = _no if reading.coded else reading.stream.skims
        self._attempt = attempt
        self._silent = attempt.content is None
        self._gap = 0.0
        self._on_terminal = on_terminal

    @property
    def last(self) -> float:
        """As the relay inside."""
        return self._relay.last

    @property
    def passed(self) -> int:
        """As the relay inside."""
        return self._relay.passed

    def take(self, data: bytes) -> bool:
        """Pass *data* on if it is one chunk, and read it then."""
        relay = self._relay
        before = relay.last
        if not self._take(data):
            return False
        begin = data.find(b"\n") + 1
        if not self._skims(data, begin, len(data) - 2):
            self._feed(data[begin:-2])
        gap = relay.last - before
        if gap > self._gap and before:
            self._gap = self._attempt.gap = gap
        if self._silent and self._reading.answers:
            self._silent = False
            self._attempt.content = relay.last
        if self._reader.terminal:
            self._on_terminal()
        return True
