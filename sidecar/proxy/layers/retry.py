"""Try again what failed before a byte of it went downstream, within a budget.

The budget counts the retries that the SDK makes by itself as well (it says so in
`x-stainless-retry-count`). Where it is used up, the caller gets what the upstream said, and is told
not to try again: a service that fails wholly then sees a fifth more calls, not several times as
many (Google, "Site Reliability Engineering", chapter 21: retry budgets).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from sidecar.errors import AttemptError, forget_frames
from sidecar.policy.retry import RetrySettings, condition_of, wait_before

if TYPE_CHECKING:
    from sidecar.observe.stats import RouteStats
    from sidecar.policy.budget import Budget
    from sidecar.proxy.call import Call
    from sidecar.proxy.exchange import Exchange
    from sidecar.proxy.layer import Layer

SDK_RETRY: Final = b"x-stainless-retry-count"
SHOULD_RETRY: Final = b"x-should-retry"
"""By which the upstream itself says whether a retry has a point, as the SDKs read it."""
_FIRST: Final = (None, b"0")


class Retry:
    """Around the attempt. *budget* is shared by all calls to the upstream."""

    def __init__(
        self, inner: Layer, settings: RetrySettings, budget: Budget, stats: RouteStats
    ) -> None:
        self._inner = inner
        self._settings = settings
        self._budget = budget
        self._stats = stats

    async def __call__(self, call: Call) -> Exchange:
        """Return the first reply that is good enough, or the last one."""
        self._budget.count(call.arrived)
        if call.head.fields.get(SDK_RETRY) not in _FIRST:
            self._budget.charge(call.arrived)
        retry = 0
        while True:
            try:
                exchange = await self._inner(call)
                if exchange.head.status not in self._settings.statuses:
                    return exchange
                wait = self._wait(call, retry, exchange.head.fields)
                if wait is None:
                    return exchange
                exchange.abandon()
                reason = str(exchange.head.status)
            except AttemptError as error:
                if condition_of(error.code) not in self._settings.conditions:
                    raise
                wait = self._wait(call, retry, None)
                if wait is None:
                    raise
                reason = error.code
                forget_frames(error)
            self._stats.retries[reason] += 1
            retry += 1
            await asyncio.sleep(wait)

    def _wait(self, call: Call, retry: int, fields: Mapping[bytes, bytes] | None) -> float | None:
        """Seconds until the next attempt; None if there must be none."""
        settings = self._settings
        if fields is not None and fields.get(SHOULD_RETRY) == b"false":
            return None
        most = settings.max if call.retries is None else call.retries
        if retry >= most or call.body.streamed or call.head.method not in settings.methods:
            return None
        wait = wait_before(settings, retry, fields, time.time(), random.random)
        now = time.monotonic()
        if wait is None or (call.deadline is not None and now + wait >= call.deadline):
            return None
        if not self._budget.spend(now):
            self._stats.budget_exhausted += 1
            call.final = True
            return None
        return wait
