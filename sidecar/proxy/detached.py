"""A call without a downstream connection, with a body of its own."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from sidecar.errors import CallerLeft, CallError
from sidecar.proxy.body.body import RequestBody
from sidecar.proxy.call import Call

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.config.model import Trust
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request
    from sidecar.proxy.sink import Sink

_log: Final = logging.getLogger("sidecar.proxy")


class Nobody:
    """Stands in for the application. It accepts everything at once."""

    direct = False
    access = None
    certificate = None

    def __init__(self, peer: str, trust: Trust, connection: str = "") -> None:
        self.peer = peer
        """The address of the original call's caller."""
        self.connection = connection
        """Its connection."""
        self.trust = trust

    def denied(self, reason: str) -> None:
        """Do nothing: the original call was let in."""

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
    downstream = call.downstream
    nobody = Nobody(downstream.peer, downstream.trust, downstream.connection)
    body = RequestBody(nobody, call.body.memory, call.body.content())
    body.trailers, body.unpacked = call.body.trailers, call.body.unpacked
    body.count_copies(len(request.content or b""))
    copy = Call(nobody, call.head, body)
    copy.trace, copy.request_id, copy.ids = call.trace, call.request_id, call.ids
    copy.route, copy.model, copy.stream = call.route, call.model, call.stream
    copy.asked, copy.unreadable, copy.caller = call.asked, call.unreadable, call.caller
    return copy, request.replace(body=body, since=0)


async def carry(
    inner: Layer, call: Call, request: Request, sink: Sink, begun: Callable[[Reply], None]
) -> CallError | None:
    """Carry the detached *call* to its end, in a task of its own; return why it failed.

    *begun* gets the reply before it is written into *sink*. To cancel the task means that nobody
    waits any more.
    """
    reply: Reply | None = None
    error: CallError | None = None
    try:
        reply = await inner(call, request)
        begun(reply)
        reply.write_into(sink)
        if not reply.ended:
            await reply.finish()
    except CallError as failed:
        error = failed
    except asyncio.CancelledError:  # kept by the task, its frames would keep the call
        error = CallerLeft("every caller has left")
    except Exception:
        _log.exception("internal error, request id %s", call.request_id.decode("latin-1"))
        error = CallError("internal error")
    finally:
        if reply is not None:
            reply.abandon()
        call.body.free()
    return error


def charge(call: Call, carried: Call) -> None:
    """Have the attempts of the detached call *carried* in the record of *call*, which it served."""
    call.attempts, call.fallback = carried.attempts, carried.fallback
    call.queued = carried.queued
    if carried.notes is None:
        carried.notes = []
    if call.notes is not carried.notes:
        carried.notes[:0] = call.notes or ()
        call.notes = carried.notes
