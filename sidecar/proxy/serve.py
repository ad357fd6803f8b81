"""The life of a call, from its head to its record. Read this first."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, Final

from sidecar.errors import CallerLeft, CallError, CutOff, DeadlineExceeded, forget_frames
from sidecar.http.message import ResponseHead
from sidecar.http.semantics import hops_left
from sidecar.observe import debug
from sidecar.observe.trace import NONE, receive
from sidecar.proxy.access import admit
from sidecar.proxy.call import NOWHERE
from sidecar.proxy.content import kept
from sidecar.proxy.layers.patience import bounded
from sidecar.proxy.local import error_reply, last_stop
from sidecar.proxy.request import Request
from sidecar.proxy.routing.asking import depends, learn, unpack
from sidecar.proxy.routing.overrides import apply_overrides
from sidecar.proxy.routing.router import Candidate, Route, choose

if TYPE_CHECKING:
    from sidecar.proxy.call import Call
    from sidecar.proxy.recorder import Recorder
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.routing.snapshot import Snapshot
    from sidecar.proxy.tasks.tasks import Tasks

_log: Final = logging.getLogger("sidecar.proxy")
_getrandbits: Final = random.Random().getrandbits
_BODY_IDLE: Final = 120.0
"""Seconds without a byte of a request's body after which the call fails."""
_MAX_REQUEST_ID: Final = 128
_CONTINUE: Final = ResponseHead()
_CONTINUE.status, _CONTINUE.reason = 100, b"Continue"


async def serve(call: Call, snapshot: Snapshot, recorder: Recorder) -> None:
    """Carry *call* to its end under *snapshot*. Never raises: a reply or an error is sent."""
    call.begun = True
    identify(call, recorder.reject)
    try:
        admit(call)
        hops = hops_left(call.head) if b"max-forwards" in call.head.fields.known else None
        if hops == 0:
            call.close = call.close or not call.body.complete
            await _answer(call, last_stop(call))
            return
        if snapshot.tasks is not None and snapshot.tasks.take(call):
            await _answer(call, await _task(call, snapshot.tasks))
            return
        candidates = snapshot.router.candidates(call.head.host, call.head.path, call.head.method)
        if not call.body.complete:
            await _receive(call, candidates)
        if b"content-encoding" in call.head.fields.known and depends(candidates):
            await unpack(call, max(c.route.hold for c in candidates))
        route, request = _route(call, candidates)
        if hops is not None:
            request = request.edited({b"max-forwards": b"\r\nMax-Forwards: %d" % (hops - 1)})
        reply = await route.stack(call, request)
        await _answer(call, kept(call, reply, recorder.content) if recorder.content else reply)
    except CallError as error:
        call.error = error
        call.close = call.close or error.close
    except asyncio.CancelledError:
        if call.error is None and (call.reply is None or not call.reply.ended):
            call.error = _left()
    except Exception:
        _log.exception("internal error, request id %s", call.request_id.decode("latin-1"))
        call.error = CallError("internal error")
        call.close = True
    finally:
        _end(call, recorder)


def identify(call: Call, reject: int = NONE) -> None:
    """Set the trace and the request id of *call*: the caller's, if they are valid.

    A caller without `traceparent` may name its trace with `x-trace-id`. A trace that begins here
    is sampled if it reaches the threshold *reject*.
    """
    fields = call.head.fields.known
    parent, state = fields.get(b"traceparent"), fields.get(b"tracestate")
    parents, states = (parent,) if parent else (), (state,) if state else ()
    call.trace = receive(parents, states, _getrandbits, fields.get(b"x-trace-id", b""), reject)
    request_id = fields.get(b"x-request-id", b"")
    valid = 0 < len(request_id) <= _MAX_REQUEST_ID and request_id.isascii()
    call.request_id = request_id if valid else call.trace.trace_id
    call.ids = b"\r\nx-request-id: %b\r\nx-trace-id: %b" % (call.request_id, call.trace.trace_id)


async def _receive(call: Call, candidates: tuple[Candidate, ...]) -> None:
    """Wait until the body is complete, or exceeds what its route may buffer."""
    if call.head.upgrade:
        return
    if call.head.expects_continue:  # we answer as the origin does (RFC 9110, section 10.1.1)
        call.sink.interim(_CONTINUE)
    totals = [c.route.timers.total for c in candidates]
    try:
        async with asyncio.timeout(None if None in totals else max(t or 0 for t in totals)):
            await call.body.hold(max(c.route.hold for c in candidates), _BODY_IDLE)
    except TimeoutError:
        raise DeadlineExceeded("the call's `total` timeout has expired") from None


def _route(call: Call, candidates: tuple[Candidate, ...]) -> tuple[Route, Request]:
    """Choose the route, also by the body, and make the request for its upstream."""
    head = call.head
    learn(call, candidates)
    chosen = choose(candidates, head.fields, call.model, call.unknown)
    if chosen.route.renames_first and call.unreadable is not None:
        raise call.unreadable
    route = chosen.route
    target = head.target
    if chosen.path is not None:
        target = chosen.path + target[len(head.path) :]
    request = Request(
        head.method,
        target,
        call.body,
        model=call.model,
        stream=call.stream,
        captured=chosen.captured,
        priority=route.priority,
    )
    return _enter(call, route, request)


def _enter(call: Call, route: Route, request: Request) -> tuple[Route, Request]:
    """Let *route* take the call: return it, and *request*, with what the caller may override."""
    call.route = route
    route.stats.in_flight += 1
    if call.local_keys:
        request = request.edited(dict.fromkeys(call.local_keys, b""))
    if call.downstream.trust.headers:
        route, request = apply_overrides(call, route, request)
    if route.heeds_sdk:
        request = bounded(call, request, request.timers or route.timers)
    if debug.on:
        debug.tell(call.request_id, "%r matches route %s: %r", call, route.name, request)
    total = (request.timers or route.timers).total
    if total is not None:
        call.deadline = call.arrived + total
    return route, request


async def _task(call: Call, tasks: Tasks) -> Reply:
    """Return the reply to a call that names a task instead of a model, or asks about tasks."""
    page = tasks.page(call)
    if page is not None:
        return page
    if not call.body.complete:
        await _receive(call, tasks.candidates)
    if b"content-encoding" in call.head.fields.known:
        await unpack(call, max(c.route.hold for c in tasks.candidates))
    job = tasks.job(call)
    route, request = _enter(call, job.route, job.request)
    return await job.done(call, request, route.stack)


async def _answer(call: Call, reply: Reply) -> None:
    """Write the reply to the caller, to its end."""
    if not call.body.complete:
        call.close = True  # the rest of the body would be read as the next request
    call.reply, call.attempt = reply, reply.attempt
    reply.write_into(call.sink)
    if not reply.ended:
        await reply.finish()


def _end(call: Call, recorder: Recorder) -> None:
    """Release the reply, send an error if needed, record, and let the connection go on."""
    reply = call.reply
    if reply is not None:
        if not reply.settled:
            reply.abandon()
        call.bytes_out = reply.passed
        call.attempt = reply.attempt or call.attempt
    error = call.error
    if error is not None and call.status == 0 and not isinstance(error, (CallerLeft, CutOff)):
        if not call.body.complete:
            call.close = True
        error_reply(call, error).write_into(call.sink)
    # Both refer to the call, which would otherwise wait for the garbage collector.
    call.reply, call.sink = None, NOWHERE
    forget_frames(error)
    now = time.monotonic()
    if debug.on:
        debug.tell(call.request_id, "%r is over after %.3f s", call, now - call.arrived)
    recorder.record(call, now)  # which may read the body
    call.body.free()
    call.downstream.finished(call, now)


def drop(call: Call, recorder: Recorder) -> None:
    """Record a call whose caller left before `serve` began."""
    identify(call, recorder.reject)
    call.error = _left()
    call.sink = NOWHERE
    call.body.free()
    recorder.record(call, time.monotonic())


def _left() -> CallError:
    return CallerLeft("the caller closed its connection")
