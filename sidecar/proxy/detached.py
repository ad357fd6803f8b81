"""A call without a downstream connection, with a body of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.proxy.body.body import RequestBody
from sidecar.proxy.call import Call

if TYPE_CHECKING:
    from sidecar.config.model import Trust
    from sidecar.proxy.request import Request


class Nobody:
    """Stands in for the application. It accepts everything at once."""

    def __init__(self, peer: str, trust: Trust) -> None:
        self.peer = peer
        """The address of the original call's caller."""
        self.trust = trust

    def pause_reading(self, reason: int) -> None:
        """Do nothing: there is nothing to read."""

    def resume_reading(self, reason: int) -> None:
        """Do nothing: there is nothing to read."""

    def finished(self, call: Call, now: float) -> None:
        """Do nothing: no other call follows."""


def detach(call: Call, request: Request) -> tuple[Call, Request]:
    """Return a new call with the same *request*, independent of *call*.

    *call*'s body must be complete and buffered. The copy counts as buffer memory until the code
    that detached it frees its body. It has no deadline. Its reply goes nowhere unless a sink is
    set.
    """
    nobody = Nobody(call.downstream.peer, call.downstream.trust)
    body = RequestBody(nobody, call.body.memory, call.body.content())
    body.trailers, body.unpacked = call.body.trailers, call.body.unpacked
    body.count_copies(len(request.content or b""))
    copy = Call(nobody, call.head, body)
    copy.trace, copy.request_id, copy.ids = call.trace, call.request_id, call.ids
    copy.route, copy.model, copy.stream = call.route, call.model, call.stream
    copy.asked, copy.unreadable = call.asked, call.unreadable
    return copy, request.replace(body=body, since=0)
