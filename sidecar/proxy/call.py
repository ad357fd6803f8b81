"""A call: one request of an application's, with all that is known of it. Plain state."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from sidecar.proxy.record import HEDGE
from sidecar.proxy.sink import NullSink

if TYPE_CHECKING:
    from sidecar.config.model import Trust
    from sidecar.errors import CallError, ModelUnknown
    from sidecar.http.message import RequestHead
    from sidecar.llm.request import Asked
    from sidecar.observe.trace import TraceContext
    from sidecar.policy.load import Load
    from sidecar.proxy.body.body import RequestBody
    from sidecar.proxy.record import AttemptRecord
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.routing.router import Route
    from sidecar.proxy.sink import Sink

NOWHERE: Final = NullSink()


class Downstream(Protocol):
    """The application, as the life of a call sees it."""

    peer: str

    @property
    def trust(self) -> Trust:
        """Which of the caller's words about itself are taken."""

    def finished(self, call: Call, now: float) -> None:
        """*call* is over: go on to the next, or close."""


class Call:
    """Made when a request's head is complete. What is not known yet has its class's value.

    What the caller said stays here as it was; what is asked of an upstream is a `Request`.
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
    model: str | None = None
    """Which the caller asked for."""
    stream = False
    """Whether the caller asked for a stream."""
    asked: Asked | None = None
    """All that the body says, where another model may be asked for instead."""
    unknown: ModelUnknown | None = None
    """Why no route may go by the model."""
    unreadable: ModelUnknown | None = None
    """Why no other model can be asked for."""
    deadline: float | None = None
    """On the monotonic clock; all attempts lie before it."""
    attempt: AttemptRecord | None = None
    """Whose reply is sent; else the one that failed last."""
    fallback = 0
    """Which of the route's fallbacks was asked; 0: none."""
    final = False
    """Trying again would only add to the storm: the SDK is told so."""
    reply: Reply | None = None
    """Which is written into the sink."""
    status = 0
    """Sent downstream; 0 while nothing was."""
    first_byte: float | None = None
    """When the reply began to be sent, on the monotonic clock."""
    bytes_out = 0
    error: CallError | None = None

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
        state = self.error.code if self.error else str(self.status) if self.status else "under way"
        return f"<Call {text} from {self.downstream.peer}, {state}>"

    def tried(self, since: int) -> tuple[Load, ...]:
        """The endpoints that got an attempt, from the attempt number *since* on."""
        attempts = self.attempts
        if len(attempts) == since:  # nearly always
            return ()
        return tuple(attempt.endpoint.load for attempt in attempts[since:])

    @property
    def hedged(self) -> bool:
        """Whether a second attempt was made beside a slow first."""
        return any(attempt.why == HEDGE for attempt in self.attempts)

    @property
    def replays(self) -> int:
        """How many requests were sent again since a reused connection had died."""
        return sum(attempt.replayed for attempt in self.attempts)
