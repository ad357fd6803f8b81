"""Try again what failed before a byte of it went downstream, within a budget.

A retry goes to another endpoint at once. If there is none, a reply that names a time or a rate
limit is the upstream's own pacing. A caller whose SDK obeys it gets the reply: if the sidecar
retried too, three calls of the SDK would become nine, and its timer might expire meanwhile. For
other callers the sidecar waits.

The budget also counts the SDKs' own retries (`x-stainless-retry-count`). If it is used up and the
service fails as a whole, the SDK is told not to retry: a service that is down then sees a fifth
more calls, not several times as many (Google, "Site Reliability Engineering", chapter 21: retry
budgets). If a service fails only now and then, or rate-limits, the SDK may retry.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from sidecar.errors import AttemptError, NoAnswer, forget_frames
from sidecar.policy.outcome import RATE_LIMITED
from sidecar.policy.retry import (
    RetrySettings,
    backoff,
    condition_of,
    retry_after,
    wait_before,
)
from sidecar.proxy.layers.patience import patience_of
from sidecar.proxy.record import RETRY

if TYPE_CHECKING:
    from sidecar.http.message import ResponseHead
    from sidecar.observe.stats import RouteStats
    from sidecar.policy.budget import Budget
    from sidecar.policy.outage import Outage
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request

SDK_RETRY: Final = b"x-stainless-retry-count"
SHOULD_RETRY: Final = b"x-should-retry"
"""Header by which an upstream says whether to retry; the SDKs obey it."""
_FIRST: Final = (None, b"0")


class Others(NamedTuple):
    """What else can take a failed call."""

    elsewhere: Callable[[Call, Request], bool]
    """Whether another endpoint can take it now."""
    fallback_on: frozenset[int]
    """Statuses on which the route falls back; empty if no fallback is left."""


class Retry:
    """Wraps the attempt. All calls to the upstream share *budget* and *outage*."""

    def __init__(
        self,
        inner: Layer,
        settings: RetrySettings,
        budget: Budget,
        outage: Outage,
        stats: RouteStats,
        others: Others,
    ) -> None:
        self._inner = inner
        self._settings = settings
        self._budget = budget
        self._outage = outage
        self._stats = stats
        self._others = others

    def __repr__(self) -> str:
        return f"<Retry {self._settings.max} times>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Return the first acceptable reply, or the last one."""
        self._budget.count(call.arrived)
        if call.head.fields.known.get(SDK_RETRY) not in _FIRST:
            self._budget.charge(call.arrived)
        retry = 0
        while True:
            try:
                reply = await self._inner(call, request)
                if reply.head.status not in self._settings.statuses:
                    if self._outage.failures:
                        self._outage.observe(False)
                    return reply
                wait = self._after_reply(call, request, retry, reply)
                if wait is None:
                    return reply
                reply.abandon()
                reason = str(reply.head.status)
            except AttemptError as error:
                if not self._may_mend(call, error):
                    raise
                wait = self._after_error(call, request, retry, error)
                if wait is None:
                    raise
                reason = error.code
                forget_frames(error)
            self._stats.retries[reason] += 1
            retry += 1
            call.note("retry", f"number {retry} in {wait:.3f} s, after {reason}")
            request = request.replace(why=RETRY, reason=reason)
            await asyncio.sleep(wait)

    def _may_mend(self, call: Call, error: AttemptError) -> bool:
        """Whether another attempt may mend *error*, and the policy has it tried."""
        if isinstance(error, NoAnswer) and not error.again:
            call.final = True  # an account is empty, which the stream says, not its head
        return condition_of(error.code) in self._settings.conditions and error.again

    def _after_error(
        self, call: Call, request: Request, retry: int, error: AttemptError
    ) -> float | None:
        """Return the seconds until the next attempt; None: no retry."""
        wait = self._wait(call, request, retry, None, free=not error.endpoint_failed)
        if error.endpoint_failed:
            self._outage.observe(True)
            call.final = wait is None and self._hopeless(call)
        return wait

    def _after_reply(self, call: Call, request: Request, retry: int, reply: Reply) -> float | None:
        """The same after a reply that is not acceptable."""
        head, failure = reply.head, reply.failure
        limited = head.status == RATE_LIMITED
        if not limited:
            self._outage.observe(True)
        if failure is not None and (failure.kind == "money" or failure.hopeless):
            call.final = True  # an account is empty, or a quota of a day is: no wait clears that
            return _no_retry(call, f"it would fail again: {failure.kind}")
        wait = None
        if head.fields.known.get(SHOULD_RETRY) != b"false":
            named = None if failure is None else failure.retry_after
            wait = self._wait(call, request, retry, head, named)
        if wait is None:
            call.final = not limited and self._hopeless(call)
            if limited and SDK_RETRY in call.head.fields.known:
                self._budget.excuse()  # the retry that the SDK will make
        return wait

    def _wait(
        self,
        call: Call,
        request: Request,
        retry: int,
        head: ResponseHead | None,
        named: float | None = None,
        *,
        free: bool = False,
    ) -> float | None:
        """The same. *named*: the wait that the reply's body asks for.

        *free*: no budget is used, as the upstream had no work with the attempt.
        """
        settings = self._settings
        most = settings.max if request.retries is None else request.retries
        if retry >= most or call.body.streamed or request.method not in settings.methods:
            return _no_retry(call, "its retries are used up, or it can't be sent again")
        wait = self._pace(call, request, retry, head, named)
        now = time.monotonic()
        if wait is None:
            return _no_retry(call, "the reply says when to come again, which its caller obeys")
        if not _waits_until(call, now + wait):
            return _no_retry(call, "the caller does not wait so long")
        if not free and not self._budget.spend(now):
            self._stats.budget_exhausted += 1
            return _no_retry(call, "the retry budget is used up")
        return wait

    def _pace(
        self,
        call: Call,
        request: Request,
        retry: int,
        head: ResponseHead | None,
        named: float | None,
    ) -> float | None:
        """Return the wait that the upstream or the backoff asks for; None: pass the reply on."""
        settings = self._settings
        if head is None or self._others.elsewhere(call, request):
            return backoff(settings, retry, random.random)
        limited = head.status == RATE_LIMITED
        if named is None:
            named = retry_after(head.fields, time.time())
        if limited or named is not None:
            obeys = SDK_RETRY in call.head.fields.known and request.retries is None
            falls_back = request.home is None and head.status in self._others.fallback_on
            if obeys or falls_back:
                return None
        return wait_before(settings, retry, named, limited, random.random)

    def _hopeless(self, call: Call) -> bool:
        """Whether a retry by the SDK would only add load.

        If not, the budget pays for it now: many more calls will ask before it arrives.
        """
        if not self._outage.total:
            return False
        if SDK_RETRY not in call.head.fields.known:
            return not self._budget.allows(time.monotonic())
        if not self._budget.spend(time.monotonic()):
            return True
        self._budget.excuse()
        return False


def _no_retry(call: Call, why: str) -> float | None:
    call.note("no_retry", why)
    return None


def _waits_until(call: Call, when: float) -> bool:
    """Whether the caller will still wait *when* the next attempt begins."""
    if call.deadline is not None and when >= call.deadline:
        return False
    patience = patience_of(call)
    return patience is None or when < call.arrived + patience
