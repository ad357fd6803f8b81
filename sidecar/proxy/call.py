"""A call: one request of an application and everything that is known about it. Plain state."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from sidecar.observe import debug
from sidecar.proxy.record import HEDGE
from sidecar.proxy.sink import NullSink

if TYPE_CHECKING:
    from sidecar.config.model import Trust
    from sidecar.errors import CallError, ModelUnknown
    from sidecar.http.message import RequestHead
    from sidecar.llm.dialects import Dialect
    from sidecar.llm.request import Asked
    from sidecar.observe.trace import TraceContext
    from sidecar.policy.access import Access
    from sidecar.policy.client_certificates import ClientCertificate
    from sidecar.policy.load import Load
    from sidecar.proxy.body.body import RequestBody
    from sidecar.proxy.content import Answer
    from sidecar.proxy.record import AttemptRecord
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.routing.router import Route
    from sidecar.proxy.sink import Sink

NOWHERE: Final = NullSink()
_MOST_NOTES: Final = 32


class Downstream(Protocol):
    """The application, as the life of a call sees it."""

    peer: str

    @property
    def connection(self) -> str:
        """What tells its connection from all others of this process."""

    @property
    def certificate(self) -> ClientCertificate | None:
        """What the caller's certificate says, where it has shown one."""

    @property
    def direct(self) -> bool:
        """Whether the caller addresses the sidecar itself, and not another host through it."""

    @property
    def trust(self) -> Trust:
        """Which headers of the caller about itself are trusted."""

    @property
    def access(self) -> Access | None:
        """Who may call; None: anybody."""

    def denied(self, reason: str) -> None:
        """Count a call that was not let in."""

    def finished(self, call: Call, now: float) -> None:
        """*call* has ended: go on to the next one, or close."""


class Call:
    """Made when a request's head is complete. A field that is not known yet has its class's value.

    What the caller sent stays here unchanged; what goes upstream is a `Request`.
    """

    trace: TraceContext
    request_id: bytes
    ids: bytes
    """Header lines with both ids, as both sides get them, each after a CRLF."""
    sink: Sink = NOWHERE
    """Where its reply goes."""
    begun = False
    """Whether its life has begun: a task that is cancelled before its first step never runs."""
    route: Route | None = None
    dialect: Dialect | None = None
    """The API whose errors its caller reads, where that is not its route's."""
    model: str | None = None
    """The model that the caller asked for."""
    stream = False
    """Whether the caller asked for a stream."""
    operation = ""
    """What it asks for, in its API's terms: `chat`, `embeddings`; where that was looked at."""
    caller = ""
    """Its caller's name, where the listener knows callers."""
    local_keys: tuple[bytes, ...] = ()
    """Names of the headers with what the caller is known by, which don't go upstream."""
    asked: Asked | None = None
    """Everything that the body asks for, if an alias may replace the model."""
    unknown: ModelUnknown | None = None
    """Why routes can't match on the model."""
    unreadable: ModelUnknown | None = None
    """Why the model can't be replaced."""
    queued = 0.0
    """Seconds in admission queues."""
    deadline: float | None = None
    """On the monotonic clock; all attempts end before it."""
    answer: Answer | None = None
    """Keeps the text of the reply, where its span is to tell it."""
    attempt: AttemptRecord | None = None
    """The attempt whose reply is sent; else the one that failed last."""
    fallback = 0
    """Number of the route's fallback that was used; 0: none."""
    final = False
    """Whether the SDK is told not to retry, because retries would only add load."""
    cache = ""
    """What the cache had for it: hit, miss, stale or bypass; empty where there is none."""
    told: bytes = b""
    """Header lines that layers add to its reply, each after a CRLF."""
    reply: Reply | None = None
    """The reply that is written into the sink."""
    status = 0
    """The status sent downstream; 0 until one was."""
    first_byte: float | None = None
    """When the reply began to be sent, on the monotonic clock."""
    bytes_out = 0
    error: CallError | None = None
    notes: list[tuple[float, str, str]] | None = None
    """What was unusual: when, on the monotonic clock, and what; see `observe.record.Note`."""

    def __init__(self, downstream: Downstream, head: RequestHead, body: RequestBody) -> None:
        self.downstream = downstream
        self.head = head
        self.body = body
        self.arrived = time.monotonic()
        self.attempts: list[AttemptRecord] = []
        """In the order in which they began."""
        self.close = not head.keep_alive
        """Whether the application's connection ends with this call."""

    def __repr__(self) -> str:
        head = self.head
        text = f"{head.method.decode('latin-1')} {head.path.decode('latin-1')[:80]}"
        state = self.error.code if self.error else str(self.status) if self.status else "in flight"
        return f"<Call {text} from {self.downstream.peer}, {state}>"

    def note(self, what: str, text: str) -> None:
        """Keep an unusual decision for the call's record, and log it at `debug`."""
        if self.notes is None:
            self.notes = []
        if len(self.notes) < _MOST_NOTES:
            self.notes.append((time.monotonic(), what, text))
        if debug.on:
            debug.tell(self.request_id, "%s: %s", what.replace("_", " "), text)

    def tried(self, since: int) -> tuple[Load, ...]:
        """The endpoints that got an attempt, from the attempt number *since* on."""
        attempts = self.attempts
        if len(attempts) == since:  # nearly always
            return ()
        return tuple(attempt.endpoint.load for attempt in attempts[since:])

    @property
    def hedged(self) -> bool:
        """Whether a hedge was sent."""
        return any(attempt.why == HEDGE for attempt in self.attempts)

    @property
    def replays(self) -> int:
        """Number of requests sent again because a reused connection was stale."""
        return sum(attempt.replayed for attempt in self.attempts)
