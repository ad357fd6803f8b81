"""One try at one endpoint: pick, connect, send, read the head.

A request that went out on a connection which the server had closed already is sent again, once. RFC
9112, section 9.3.1, leaves this to those who can know that the request was not processed: a
connection that had rested, and that died without a byte in answer, is such a case as far as it can
be known; every HTTP client with a pool does the same. It is no failure of the endpoint's.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, TypeVar

from sidecar.errors import AttemptError, BadReply, CallError, Reset, Stale, TimedOut, Truncated
from sidecar.llm.report import parse_orca
from sidecar.policy.timeouts import Timers, within
from sidecar.proxy.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sidecar.proxy.call import Call
    from sidecar.upstream.connection import UpstreamConnection
    from sidecar.upstream.held import Held
    from sidecar.upstream.rotation import Rotation

T = TypeVar("T")
_REPORT: Final = b"endpoint-load-metrics"
"""What an endpoint says of its load in a reply (ORCA)."""
_ASKS: Final = b"\r\nendpoint-load-metrics-format: TEXT"
"""vLLM and Triton say it only to who asks so."""


class Attempt:
    """The innermost layer. *affinity* makes the key that a hashing balance picks by."""

    def __init__(
        self,
        rotation: Rotation,
        timers: Timers,
        affinity: Callable[[Call], int] | None = None,
        reads_reports: bool = False,
    ) -> None:
        self._rotation = rotation
        self._timers = timers
        self._affinity = affinity
        self._reads_reports = reads_reports

    async def __call__(self, call: Call) -> Exchange:
        """Return the exchange once its head is here; close what was begun if none comes."""
        rotation = self._rotation_of(call)
        upstream = rotation.upstream
        if upstream.names and upstream.unresolved:
            await self._in_time(call, self._timers, upstream.resolve())
        if self._reads_reports:
            call.asks = _ASKS
        key = 0 if self._affinity is None else self._affinity(call)
        held = rotation.reserve(key, call.tried, call.captured)
        call.endpoint = held.endpoint
        call.tried += (held.endpoint.load,)
        try:
            exchange = await self._send(call, held)
        except CallError as error:
            call.endpoint = held.endpoint  # another attempt may have begun since
            if error.endpoint_failed:
                held.tell(True, time.monotonic())
            held.release()
            raise
        except BaseException:
            held.release()
            raise
        if self._reads_reports and _REPORT in exchange.head.fields:
            self._read_report(exchange, held)
        return exchange

    def elsewhere(self, call: Call) -> bool:
        """Whether another endpoint than the one that was tried last may take the call now."""
        return self._rotation_of(call).elsewhere(call.tried, call.captured)

    def _rotation_of(self, call: Call) -> Rotation:
        rotation = self._rotation
        return rotation if call.labels is None else rotation.narrowed(call.labels)

    async def _send(self, call: Call, held: Held) -> Exchange:
        """Send it; once more, on a new connection, where the one that was taken had died."""
        timers = call.timers or self._timers
        fresh = False
        while True:
            call.attempts += 1
            connection = None if fresh else held.endpoint.pool.take()
            if connection is None:
                connection = await self._connect(call, held, timers, fresh)
            exchange = Exchange(call, held, connection, timers)
            exchange.send()
            try:
                await exchange.arrival()
            except BaseException:  # the caller left, or another attempt was faster
                exchange.abandon()
                raise
            if exchange.error is None:
                return exchange
            error = _before_its_reply(exchange.error, connection.uses)
            if fresh or call.body.streamed or not isinstance(error, Stale):
                raise error
            fresh = True
            call.replays += 1
            held.endpoint.stats.replays += 1

    async def _connect(
        self, call: Call, held: Held, timers: Timers, fresh: bool
    ) -> UpstreamConnection:
        endpoint = held.endpoint
        try:
            return await self._in_time(call, timers, endpoint.pool.acquire(reuse=not fresh))
        except AttemptError as error:
            endpoint.stats.attempts[0] += 1
            endpoint.stats.errors[error.code] += 1
            raise

    async def _in_time(self, call: Call, timers: Timers, wait: Awaitable[T]) -> T:
        due = within(timers.connect, "connect", call.deadline, time.monotonic())
        try:
            async with asyncio.timeout(due.seconds):
                return await wait
        except TimeoutError:
            raise TimedOut(
                f"no connection to {self._rotation.upstream.name} within {due.seconds:g} s",
                code=f"{due.name}_timeout",
            ) from None

    def _read_report(self, exchange: Exchange, held: Held) -> None:
        report = parse_orca(exchange.head.fields[_REPORT])
        if report is not None:
            held.endpoint.load.report(report, time.monotonic())


def _before_its_reply(error: CallError, uses: int) -> CallError:
    """What *error* means to an attempt of which nothing went downstream."""
    if uses > 1 and isinstance(error, Reset):
        return Stale(error.message)
    if isinstance(error, Truncated) and error.endpoint_failed:
        # Within its head: another attempt may do better.
        return BadReply(error.message, code="upstream_truncated")
    return error
