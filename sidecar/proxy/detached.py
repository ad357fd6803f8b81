"""A call that runs for nobody's connection, with a body of its own."""

from __future__ import annotations

from sidecar.config.model import Trust
from sidecar.proxy.body.body import RequestBody
from sidecar.proxy.call import Call
from sidecar.proxy.request import Request


class Nobody:
    """Stands for the application that a detached call has not. It takes everything at once."""

    trust = Trust()

    def __init__(self, peer: str) -> None:
        self.peer = peer
        """Whose call it was made from."""

    def pause_reading(self, reason: int) -> None:
        """Nothing is read."""

    def resume_reading(self, reason: int) -> None:
        """Nothing is read."""

    def finished(self, call: Call, now: float) -> None:
        """Nothing follows."""


def detach(call: Call, request: Request) -> tuple[Call, Request]:
    """A call of its own that asks for what *request* does, whatever becomes of *call*.

    *call*'s body must be complete and held. The copy is counted as memory until its own body is
    freed, by whoever detached it. It has no deadline; its reply goes nowhere unless its sink is
    set.
    """
    nobody = Nobody(call.downstream.peer)
    body = RequestBody(nobody, call.body.memory, call.body.content())
    body.trailers, body.unpacked = call.body.trailers, call.body.unpacked
    body.count_copies(len(request.content or b""))
    copy = Call(nobody, call.head, body)
    copy.trace, copy.request_id, copy.ids = call.trace, call.request_id, call.ids
    copy.route, copy.model, copy.stream = call.route, call.model, call.stream
    copy.asked, copy.unreadable = call.asked, call.unreadable
    return copy, request.replace(body=body, since=0)
