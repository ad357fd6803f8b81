"""One try at one endpoint: pick, connect, send, read the head.

A request on a stale connection is sent again, once. RFC 9112, section 9.3.1, allows that if the
client knows that the request was not processed. A connection that was idle and closed without a
byte in answer is such a case as far as a client can know; every HTTP client with a pool does the
same. It is not a failure of the endpoint.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from sidecar.errors import (
    AttemptError,
    BadReply,
    CallError,
    DeadlineExceeded,
    LocalFailure,
    Reset,
    Stale,
    Truncated,
)
from sidecar.llm.report import parse_orca
from sidecar.observe import debug
from sidecar.policy.timeouts import Patience, Timers, first_byte, within
from sidecar.proxy.exchange.exchange import Exchange
from sidecar.proxy.record import AttemptRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.proxy.call import Call
    from sidecar.proxy.request import Request
    from sidecar.upstream.connect.connection import UpstreamConnection
    from sidecar.upstream.endpoints.upstream import Upstream
    from sidecar.upstream.lease import Lease
    from sidecar.upstream.load_balancer import LoadBalancer

_REPORT: Final = b"endpoint-load-metrics"
"""Header of a reply with the endpoint's load (ORCA)."""
OUTRUN: Final = "outrun"
"""Message of the cancellation of an attempt that lost to another."""
LOST: Final = "lost"
"""The same of one that had less time than the other."""
LEFT: Final = "caller_left"
"""Error of the record of an attempt that was cancelled for another reason."""
_ASKS: Final = {
    b"endpoint-load-metrics-format": b"\r\nendpoint-load-metrics-format: TEXT",
}
"""vLLM and Triton send their load only if a request asks for it."""


class Attempt:
    """The innermost layer. *affinity* returns the key that a hashing balancer picks by."""

    def __init__(
        self,
        balancer: LoadBalancer,
        timers: Timers,
        affinity: Callable[[Call, Request], int] | None = None,
        reads_reports: bool = False,
    ) -> None:
        self._balancer = balancer
        self._timers = timers
        self._affinity = affinity
        self._reads_reports = reads_reports

    def __repr__(self) -> str:
        return f"<Attempt at {self._balancer!r}>"

    async def __call__(self, call: Call, request: Request) -> Exchange:
        """Return the exchange once enough of its reply is here; close it on failure."""
        balancer = self.balancer_of(request)
        upstream = balancer.upstream
        if upstream.unresolved:
            await self._resolve(call, request, upstream)
        if self._reads_reports:
            request = request.edited(_ASKS)
        lease = self._pick(balancer, call, request)
        attempt = call.attempts[-1]
        try:
            exchange = await self._send(call, request, lease, attempt)
        except CallError as error:
            call.attempt = attempt
            now = self._over(call, attempt, error.code, error.message)
            if error.endpoint_failed:
                lease.report(True, now)
            lease.release()
            raise
        except BaseException as error:
            outrun = OUTRUN in error.args
            code = OUTRUN if outrun or LOST in error.args else LEFT
            now = self._over(call, attempt, code, "it is given up")
            lease.give_up(now, outrun=outrun)
            lease.release()
            raise
        if debug.on:
            took = time.monotonic() - attempt.began
            debug.tell(call.request_id, "%r, after %.3f s", attempt, took)
        if self._reads_reports and _REPORT in exchange.head.fields.known:
            self._read_report(exchange, lease)
        return exchange

    def _pick(self, balancer: LoadBalancer, call: Call, request: Request) -> Lease:
        """Choose an endpoint, and begin the attempt's record."""
        if request.home is not None:
            lease = balancer.home(request.home, request.captured)
        else:
            key = 0 if self._affinity is None else self._affinity(call, request)
            lease = balancer.pick(key, call.tried(request.since), request.captured)
        attempt = AttemptRecord(lease.endpoint, request.why, request.reason, lease.began)
        call.attempts.append(attempt)
        if debug.on:
            debug.tell(
                call.request_id, "attempt %d: %r by %r", len(call.attempts), attempt, balancer
            )
        return lease

    @staticmethod
    def _over(call: Call, attempt: AttemptRecord, code: str, why: str) -> float:
        """Record that the attempt has failed. Return the current time."""
        now = attempt.ended = time.monotonic()
        attempt.error = code
        if debug.on:
            debug.tell(call.request_id, "%r, after %.3f s: %s", attempt, now - attempt.began, why)
        return now

    def elsewhere(self, call: Call, request: Request) -> bool:
        """Whether another endpoint than the last one can take the call now."""
        if request.home is not None:
            return False
        tried = call.tried(request.since)
        return self.balancer_of(request).elsewhere(tried, request.captured)

    def balancer_of(self, request: Request) -> LoadBalancer:
        """Return the load balancer that picks an endpoint for *request*."""
        balancer, labels = self._balancer, request.labels
        return balancer if labels is None else balancer.subset(labels)

    def wanted(self, request: Request) -> bool:
        """Whether any endpoint wants calls now."""
        return self.balancer_of(request).elsewhere((), request.captured)

    async def _send(
        self, call: Call, request: Request, lease: Lease, attempt: AttemptRecord
    ) -> Exchange:
        """Send the request; once more, on a new connection, if the reused one was stale.

        A streamed body can't be sent again, and gets a new connection at once.
        """
        timers = request.timers or self._timers
        fresh = not (call.body.complete or call.head.upgrade)
        while True:
            connection = None if fresh else lease.endpoint.pool.take()
            if connection is None:
                connection = await self._connect(call, lease, timers, fresh)
                lease.began = time.monotonic() if connection.uses else connection.created
            if debug.on:
                debug.tell(call.request_id, "on %r", connection)
            exchange = Exchange(call, request, lease, connection, timers, attempt)
            exchange.send()
            attempt.reused = connection.uses > 1
            attempt.sent = now = time.monotonic()
            lease.sent(now)
            try:
                await exchange.arrival()
            except BaseException:  # the caller left, or another attempt was faster
                exchange.abandon()
                raise
            if exchange.error is None:
                return exchange
            error = _before_its_reply(exchange.error, connection.uses)
            if attempt.replayed or call.body.streamed or not isinstance(error, Stale):
                raise error
            fresh = attempt.replayed = True
            lease.endpoint.stats.replays += 1

    async def _connect(
        self, call: Call, lease: Lease, timers: Timers, fresh: bool
    ) -> UpstreamConnection:
        endpoint = lease.endpoint
        # A call waits for another's connection as long as it would wait for its reply, since the
        # server would have queued it as well.
        patience = Patience(timers.connect, first_byte(timers), call.deadline)
        try:
            return await endpoint.pool.acquire(patience, reuse=not fresh)
        except AttemptError as error:
            endpoint.stats.attempts[0] += 1
            endpoint.stats.errors[error.code] += 1
            raise

    async def _resolve(self, call: Call, request: Request, upstream: Upstream) -> None:
        """Wait until an endpoint of *upstream* has an address."""
        timers = request.timers or self._timers
        due = within(timers.connect, "connect", call.deadline, time.monotonic())
        try:
            async with asyncio.timeout(due.seconds):
                await upstream.resolve()
        except TimeoutError:
            if due.name == "total":
                raise DeadlineExceeded("the call's `total` timeout has expired") from None
            raise LocalFailure(
                f"the resolver did not answer for upstream {upstream.name} in {due.seconds:g} s",
                code="resolver_failed",
            ) from None

    def _read_report(self, exchange: Exchange, lease: Lease) -> None:
        report = parse_orca(exchange.head.fields[_REPORT])
        if report is not None:
            lease.endpoint.load.report(report, time.monotonic())


def _before_its_reply(error: CallError, uses: int) -> CallError:
    """Return *error* as it counts for an attempt of which nothing went downstream."""
    if uses > 1 and isinstance(error, Reset):
        return Stale(error.message)
    if isinstance(error, Truncated) and error.endpoint_failed:
        # It broke within its head: another attempt may succeed.
        return BadReply(error.message, code="upstream_truncated")
    return error
