"""One try at one endpoint: pick, connect, send, read the head."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

from sidecar.errors import AttemptError, Reset, Stale, TimedOut
from sidecar.policy.timeouts import Timers, within
from sidecar.proxy.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from sidecar.proxy.call import Call
    from sidecar.upstream.connection import UpstreamConnection
    from sidecar.upstream.endpoint import Endpoint
    from sidecar.upstream.upstream import Upstream

T = TypeVar("T")


class Attempt:
    """The innermost layer."""

    def __init__(self, upstream: Upstream, timers: Timers) -> None:
        self._upstream = upstream
        self._timers = timers

    async def __call__(self, call: Call) -> Exchange:
        """Return the exchange once its head is here; close what was begun if none comes."""
        if self._upstream.names and self._upstream.unresolved:
            await self._in_time(call, self._upstream.resolve())
        endpoint = call.endpoint
        if endpoint is None or not call.fresh:
            endpoint = call.endpoint = self._upstream.pick(call.captured)
        call.attempts += 1
        connection = None if call.fresh else endpoint.pool.take()
        if connection is None:
            connection = await self._connect(call, endpoint)
        used = connection.uses
        call.exchange = exchange = Exchange(call, endpoint, connection, self._timers)
        exchange.send()
        await exchange.arrival()
        error = exchange.error
        if error is not None:
            if used and isinstance(error, Reset):
                raise Stale(error.message) from error
            raise error
        return exchange

    async def _connect(self, call: Call, endpoint: Endpoint) -> UpstreamConnection:
        try:
            return await self._in_time(call, endpoint.pool.acquire(reuse=not call.fresh))
        except AttemptError as error:
            endpoint.stats.attempts[0] += 1
            endpoint.stats.errors[error.code] += 1
            raise

    async def _in_time(self, call: Call, wait: Awaitable[T]) -> T:
        due = within(self._timers.connect, "connect", call.deadline, time.monotonic())
        try:
            async with asyncio.timeout(due.seconds):
                return await wait
        except TimeoutError:
            raise TimedOut(
                f"no connection to {self._upstream.name} within {due.seconds:g} s",
                code=f"{due.name}_timeout",
            ) from None
