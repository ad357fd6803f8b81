"""The record of one attempt: its endpoint, its reason and its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sidecar.http.fields import Fields
    from sidecar.proxy.exchange.reading import Said
    from sidecar.upstream.endpoints.endpoint import Endpoint

FIRST: Final = "first"
RETRY: Final = "retry"
HEDGE: Final = "hedge"
FALLBACK: Final = "fallback"
MIRROR: Final = "mirror"
REPAIR: Final = "repair"
KEY: Final = "key"
RESUME: Final = "resume"


class AttemptRecord:
    """Times are monotonic seconds; None until the event has happened."""

    __slots__ = (
        "began", "content", "ended", "endpoint", "error", "fields", "gap", "head", "key", "reason",
        "replayed", "resumed", "reused", "said", "sent", "span_id", "status", "why",
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint, why: str, reason: str, began: float) -> None:
        self.endpoint = endpoint
        self.why = why
        """FIRST, RETRY, HEDGE, FALLBACK, MIRROR, REPAIR, KEY or RESUME."""
        self.reason = reason
        """Status or error code of the attempt that made it necessary; "" if none."""
        self.began = began
        """When the endpoint was picked."""
        self.sent: float | None = None
        """When the request began to go out on a connection."""
        self.head: float | None = None
        """When enough of the reply was here to pass it on."""
        self.content: float | None = None
        """When the first content of a stream arrived: a token, not an announcement."""
        self.gap = 0.0
        """Longest time between two pieces of the stream after that, in seconds."""
        self.ended: float | None = None
        self.span_id = b""
        """Span id of the last request that was sent, as in its `traceparent`."""
        self.fields: Fields | None = None
        """Fields of the reply's head; None until there is one."""
        self.status = 0
        """Status of the reply; 0 until there is one."""
        self.said: Said | None = None
        """What the reply said, if it is read; set when the attempt is over."""
        self.error = ""
        """Code of the error with which it ended; "" if none."""
        self.key = ""
        """Name of the key that it was sent with, where the upstream has several."""
        self.reused = False
        """Whether the connection had carried another call before."""
        self.replayed = False
        """Whether the request was sent again because the reused connection was stale."""

        self.resumed = why == RESUME
        """Whether another attempt tells what it used: the one that took its stream up. One that
        has not taken up a stream yet has made nothing itself."""

    def copied(self) -> AttemptRecord:
        """Return another record that says the same: of one attempt that served several calls."""
        other = AttemptRecord.__new__(AttemptRecord)
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    def __repr__(self) -> str:
        how = self.error or (str(self.status) if self.status else "in flight")
        reason = f" after {self.reason}" if self.reason else ""
        return f"<Attempt at {self.endpoint.name}: {self.why}{reason}, {how}>"
