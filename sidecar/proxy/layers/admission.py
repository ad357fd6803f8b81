"""A limit on the calls in flight to an upstream, with a bounded queue in front of it."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Final

from sidecar.errors import Shed
from sidecar.observe import debug
from sidecar.policy.admission import Refused, Ticket, Wanted
from sidecar.proxy.layers.patience import patience_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.observe.stats import UpstreamStats
    from sidecar.policy.admission import Admission as Policy
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request

_WHY: Final = {
    "full": "the queue is full",
    "shed": "the queue is too full for a call of this priority",
    "deadline": "the call would wait longer than it may",
    "bytes": "the bodies of queued calls use all the memory that they may",
}


class Admission:
    """Wraps all attempts: a call keeps its slot through retries, until its reply is complete."""

    def __init__(
        self,
        inner: Layer,
        policy: Policy,
        client: Callable[[Call], str],
        upstream: str,
        stats: UpstreamStats,
    ) -> None:
        self._inner = inner
        self._policy = policy
        self._client = client
        self._upstream = upstream
        self._stats = stats

    def __repr__(self) -> str:
        return f"<Admission to {self._upstream}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Wait for a slot. Raise Shed if there will be none in time."""
        ticket = self._policy.enter(time.monotonic(), self._wanted(call, request))
        if isinstance(ticket, Refused):
            raise self._refusal(ticket)
        if not ticket.granted:
            if debug.on:
                debug.tell(call.request_id, "waits in the admission queue of %s", self._upstream)
            await self._wait(call, ticket)
        leave = partial(self._leave, ticket)
        try:
            reply = await self._inner(call, request)
        except BaseException:
            leave()
            raise
        reply.on_settled(leave)
        return reply

    def _wanted(self, call: Call, request: Request) -> Wanted:
        patience = patience_of(call)
        return Wanted(
            request.priority,
            call.body.size,
            inf if call.deadline is None else call.deadline,
            inf if patience is None else call.arrived + patience,
            self._client(call),
        )

    async def _wait(self, call: Call, ticket: Ticket) -> None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        ticket.wake = partial(_settle, turn)
        policy = self._policy
        timer = loop.call_later(policy.patience(ticket), _settle, turn)
        granted = False
        try:
            await turn
            granted = ticket.granted
        finally:
            timer.cancel()
            now = time.monotonic()
            waited = now - ticket.queued_at
            call.queued += waited
            text = f"waited {waited * 1000:.0f} ms in the queue of upstream {self._upstream}"
            call.note("admission", text)
            self._stats.queue_wait.observe(waited)
            if not granted:
                policy.abandon(ticket, now)
        if not granted:
            raise self._refusal(ticket.refused or policy.too_late(ticket.wanted))

    def _leave(self, ticket: Ticket) -> None:
        self._policy.leave(ticket, time.monotonic())

    def _refusal(self, refused: Refused) -> Shed:
        self._stats.shed[refused.reason] += 1
        message = f"upstream {self._upstream}: {_WHY[refused.reason]}"
        return Shed(message, retry_after=refused.retry_after)


def _settle(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
