"""A call: one request and its reply, with all that is known of it. Plain state, no behaviour."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from sidecar.config.model import Trust
    from sidecar.errors import CallError, ModelUnknown
    from sidecar.http.message import RequestHead
    from sidecar.llm.request import Asked
    from sidecar.observe.trace import TraceContext
    from sidecar.policy.load import Load
    from sidecar.policy.timeouts import Timers
    from sidecar.proxy.body import RequestBody
    from sidecar.proxy.exchange import Exchange
    from sidecar.proxy.router import Route
    from sidecar.upstream.endpoint import Endpoint


class Downstream(Protocol):
    """The application's connection, as the life of a call sees it."""

    transport: asyncio.Transport
    peer: str
    writable: bool
    """False while the send buffer is full."""

    @property
    def trust(self) -> Trust:
        """Which of the caller's words about itself are taken."""

    def pause_reading(self, reason: int) -> None:
        """Take no more from the application, until every reason was taken back."""

    def resume_reading(self, reason: int) -> None:
        """Take *reason* back."""

    def reset(self) -> None:
        """Close the connection with a reset, once all that was written is sent."""

    def finished(self, call: Call, now: float) -> None:
        """*call* is over: go on to the next, or close."""


class Call:
    """Made when a request's head is complete. What is not known yet has its class's value."""

    trace: TraceContext
    request_id: bytes
    ids: bytes
    """Header lines with both ids, as both sides get them, each after a CRLF."""
    begun = False
    """Whether its life has begun: a task that is cancelled before its first step never runs."""
    route: Route | None = None
    captured: Mapping[str, str] = {}
    """What the route's match captured, for URL templates."""
    model: str | None = None
    stream = False
    """Whether the request asks for a stream."""
    asked: Asked | None = None
    """All that the body says, where another model may be asked for instead."""
    unknown: ModelUnknown | None = None
    """Why no route may go by the model."""
    unreadable: ModelUnknown | None = None
    """Why no other model can be asked for."""
    deadline: float | None = None
    """On the monotonic clock; all attempts lie before it."""
    lines: bytes | None = None
    """Header lines that every attempt sends, made by the first."""
    asks = b""
    """A header line by which an attempt asks the endpoint for its load."""
    credential: tuple[bytes, bytes] | None = None
    """Lower-case name, and the whole line, of a header that replaces the caller's."""
    hops_left: int | None = None
    """How often it may be forwarded, where it says so."""
    keyless = False
    """Whether the caller's keys stay here: the upstream is another than they were meant for."""
    content: bytes | None = None
    """The body that is sent instead of the caller's: another model is asked for."""
    timers: Timers | None = None
    """Instead of the route's, where a trusted caller said so."""
    retries: int | None = None
    """How many, where a trusted caller said so."""
    labels: Mapping[str, str] | None = None
    """What the endpoint must have besides the route's."""
    priority = 1
    """0 high, 1 normal, 2 low."""
    tried: tuple[Load, ...] = ()
    """Of the endpoints that got an attempt."""
    attempts = 0
    replays = 0
    hedged = False
    hold_interims = False
    """Whether 1xx replies wait: several attempts go on at once, and one of them is answered."""
    fallback = 0
    """Which of the route's fallbacks was asked; 0: none."""
    final = False
    """Trying again would only add to the storm: the SDK is told so."""
    endpoint: Endpoint | None = None
    """Whose reply is sent, or whose failure is told; until then, of the last attempt."""
    exchange: Exchange | None = None
    """Whose reply is sent downstream."""
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
        self.target = head.target
        """What is asked of the upstream: the caller's target, rewritten by the route."""
        self.close = not head.keep_alive
        """Whether the application's connection ends with this call."""
