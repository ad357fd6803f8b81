"""What is kept of one attempt: who was asked, why, and how it went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sidecar.upstream.endpoints.endpoint import Endpoint

FIRST: Final = "first"
RETRY: Final = "retry"
HEDGE: Final = "hedge"
FALLBACK: Final = "fallback"
MIRROR: Final = "mirror"


class AttemptRecord:
    """Times are monotonic seconds; None while that has not happened."""

    __slots__ = (
        "began", "ended", "endpoint", "error", "head", "reason", "replayed", "reused", "sent",
        "span_id", "status", "why",
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint, why: str, reason: str, began: float) -> None:
        self.endpoint = endpoint
        self.why = why
        """FIRST, RETRY, HEDGE, FALLBACK or MIRROR."""
        self.reason = reason
        """What made it necessary: the status or the error code of the one before; "" if none."""
        self.began = began
        """The endpoint was picked."""
        self.sent: float | None = None
        """There was a connection, and the request began to go out."""
        self.head: float | None = None
        """As much of the reply was here as it takes to pass it on."""
        self.ended: float | None = None
        self.span_id = b""
        """Of the last request that was sent: the endpoint knows it by `traceparent`."""
        self.status = 0
        """Of the reply's head; 0 while there is none."""
        self.error = ""
        """The code of the error with which it ended."""
        self.reused = False
        """Whether the connection had carried a call before."""
        self.replayed = False
        """Whether it was sent again since the reused connection had died."""

    def __repr__(self) -> str:
        how = self.error or (str(self.status) if self.status else "under way")
        reason = f" after {self.reason}" if self.reason else ""
        return f"<Attempt at {self.endpoint.name}: {self.why}{reason}, {how}>"
