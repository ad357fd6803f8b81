"""A bounded number of calls at an upstream, and a bounded line in front of it."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from sidecar.errors import Shed
from sidecar.policy.admission import Refused, Ticket

if TYPE_CHECKING:
    from sidecar.observe.stats import UpstreamStats
    from sidecar.policy.admission import Admission as Policy
    from sidecar.proxy.call import Call
    from sidecar.proxy.exchange import Exchange
    from sidecar.proxy.layer import Layer

_WHY: Final = {
    "full": "as many calls wait as may",
    "shed": "too many calls wait for one of this priority to join them",
    "deadline": "the line is longer than the call may wait",
    "bytes": "the bodies that wait take as much memory as they may",
}


class Admission:
    """Around all attempts: a call keeps its place while it is retried, until its reply is whole."""

    def __init__(self, inner: Layer, policy: Policy, upstream: str, stats: UpstreamStats) -> None:
        self._inner = inner
        self._policy = policy
        self._upstream = upstream
        self._stats = stats

    async def __call__(self, call: Call) -> Exchange:
        """Wait for a place. Raise Shed when there will be none in time."""
        now = time.monotonic()
        ticket = self._policy.enter(now, call.priority, call.body.size, call.deadline)
        if isinstance(ticket, Refused):
            raise self._refusal(ticket.reason, ticket.retry_after)
        if not ticket.granted:
            await self._wait(ticket, call)
        leave = partial(self._leave, ticket)
        try:
            exchange = await self._inner(call)
        except BaseException:
            leave()
            raise
        exchange.on_settled(leave)
        return exchange

    async def _wait(self, ticket: Ticket, call: Call) -> None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        ticket.wake = partial(_settle, turn, True)
        limit = self._policy.settings.max_wait
        if call.deadline is not None:
            limit = min(limit, call.deadline - ticket.queued_at)
        timer = loop.call_later(max(0.0, limit), _settle, turn, False)
        granted = False
        try:
            granted = await turn
        finally:
            timer.cancel()
            now = time.monotonic()
            self._stats.queue_wait.observe(now - ticket.queued_at)
            if not granted:
                self._policy.abandon(ticket, now)
        if not granted:
            raise self._refusal("deadline", limit)

    def _leave(self, ticket: Ticket) -> None:
        self._policy.leave(ticket, time.monotonic())

    def _refusal(self, reason: str, retry_after: float) -> Shed:
        self._stats.shed[reason] += 1
        return Shed(f"upstream {self._upstream}: {_WHY[reason]}", retry_after=retry_after)


def _settle(turn: asyncio.Future[bool], granted: bool) -> None:
    if not turn.done():
        turn.set_result(granted)
