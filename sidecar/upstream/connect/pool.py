"""The connections to one endpoint.

State: `_idle` (a stack: the last used is the warmest), `_open` (all of ours, those still connecting
too) and `_waiting` (the queue of calls, in order of arrival). Every change is one synchronous step;
connecting happens after it. A slot that becomes free goes to the first call that waits, never past
the queue.

Waiting in the queue is no failure of the endpoint's: it has a time of its own, and ends with errors
that no breaker and no retry budget counts. Where this machine has no descriptor or port left for
one more connection, calls wait for those that are there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from sidecar.errors import DeadlineExceeded, LocalFailure, Overloaded
from sidecar.observe import debug
from sidecar.policy.timeouts import Due, Patience, within

if TYPE_CHECKING:
    from sidecar.config.model import Pool as PoolConfig
    from sidecar.observe.stats import EndpointStats
    from sidecar.upstream.connect.connection import UpstreamConnection
    from sidecar.upstream.connect.name import Name

_log: Final = logging.getLogger("sidecar.upstream")
Dial = Callable[["Pool", Due], Awaitable["UpstreamConnection"]]

_UNNEEDED: Final = 5.0
"""Seconds. A connection beyond `max_idle` that rested as long was not needed: closing it at once
would only have the next burst connect again."""
_TRY_AGAIN: Final = 0.5
"""Seconds until another connection is tried after this machine was out of descriptors or ports."""


class Pool:
    """At most `config.max_open` connections, made by *dial*. `configure` replaces `config`.

    Where they go to a *name*, none goes on to be used whose address is no longer the name's.
    """

    def __init__(
        self, config: PoolConfig, stats: EndpointStats, dial: Dial, name: Name | None = None
    ) -> None:
        self.config = config
        self.stats = stats
        self.retired = False
        self.loop = asyncio.get_running_loop()
        self.host = "" if name is None else name.host
        self._name = None if name is None or name.fixed else name
        self._dial = dial
        self._idle: list[UpstreamConnection] = []
        self._open = 0
        self._waiting: deque[asyncio.Future[UpstreamConnection | None]] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self._hurried = False
        """Whether the next sweep is an early one, for connections beyond `max_idle`."""
        self._starved: asyncio.TimerHandle | None = None
        """Set while calls wait because this machine is out of descriptors or ports."""

    def __repr__(self) -> str:
        idle, waiting = len(self._idle), len(self._waiting)
        return f"<Pool of {self.host}: {self._open} open, {idle} idle, {waiting} waiting>"

    def configure(self, config: PoolConfig) -> None:
        """Go by *config* from now on; calls that wait get the connections that are allowed now."""
        self.config = config
        while self._let_one_connect():
            pass
        if self._idle:
            self._arm_sweep()

    def take(self) -> UpstreamConnection | None:
        """Return an idle connection that is still good, or None. Never waits."""
        if not self._idle:
            return None
        now = time.monotonic()
        while self._idle:
            connection = self._idle.pop()
            self.stats.idle -= 1
            if self._fresh(connection, now) and connection.quiet():
                return connection
            connection.abort()
        return None

    async def acquire(self, patience: Patience, *, reuse: bool = True) -> UpstreamConnection:
        """Return a connection: an idle one if *reuse*, a new one, or the next that is released.

        Raise Overloaded when too many wait already, or after *patience*; ConnectFailed or TimedOut
        when connecting does not succeed; LocalFailure when it is our own machine that can't.
        """
        connection = self.take() if reuse else None
        if connection is not None:
            return connection
        if self._open >= self.config.max_open and not reuse:
            self._close_one_idle()
        if self._open < self.config.max_open and not self._waiting:
            self._count_open(1)
            return await self._connect(patience)
        return await self._wait(patience)

    def release(self, connection: UpstreamConnection) -> None:
        """Take back a connection that can be used again."""
        now = time.monotonic()
        config, idle = self.config, self._idle
        if (
            self.retired
            or now - connection.created > config.lifetime
            or (self._name is not None and connection.peer not in self._name.addresses)
        ):
            connection.abort()
        elif self._waiting and (waiter := self._next_waiter()) is not None:
            waiter.set_result(connection)
        elif not config.max_idle:
            connection.abort()
        else:
            connection.idle_since = now
            idle.append(connection)
            self.stats.idle += 1
            if self._sweep is None or (not self._hurried and len(idle) > config.max_idle):
                self._arm_sweep()

    def discard(self, connection: UpstreamConnection) -> None:
        """Count a connection that has closed; its slot goes to the first call that waits."""
        if debug.on:
            _log.debug("closed %r, %r", connection, self)
        if connection in self._idle:
            self._idle.remove(connection)
            self.stats.idle -= 1
        self._free_place()

    def retire(self) -> None:
        """The endpoint is gone: close what is idle now, and the rest after use."""
        self.retired = True
        self.close_idle(lambda _: True)
        if self._sweep is not None:  # nothing rests here any more
            self._sweep.cancel()
            self._sweep = None

    def follow(self, name: Name) -> None:
        """Close the idle connections to addresses that *name*, which has changed, has no longer."""
        self.close_idle(lambda connection: connection.peer not in name.addresses)

    def close_idle(self, gone: Callable[[UpstreamConnection], bool]) -> None:
        """Close the idle connections for which *gone* says so."""
        for connection in [idle for idle in self._idle if gone(idle)]:
            connection.abort()

    @property
    def open(self) -> int:
        """Connections of ours, those still connecting too."""
        return self._open

    # -- places --

    def _fresh(self, connection: UpstreamConnection, now: float) -> bool:
        rested = now - connection.idle_since
        config = self.config
        return (
            rested <= config.idle_timeout
            and rested <= connection.idle_limit
            and now - connection.created <= config.lifetime
            and not connection.closed
        )

    def _surplus(self) -> int:
        """Return how many connections are idle beyond `max_idle`."""
        return max(0, len(self._idle) - self.config.max_idle)

    def _close_one_idle(self) -> None:
        if self._idle:
            self._idle[0].abort()

    def _count_open(self, change: int) -> None:
        self._open += change
        self.stats.open += change

    def _next_waiter(self) -> asyncio.Future[UpstreamConnection | None] | None:
        while self._waiting:
            waiter = self._waiting.popleft()
            self.stats.waiting -= 1
            if not waiter.done():
                return waiter
        return None

    def _free_place(self) -> None:
        """Count one connection less; the first call that waits may open another."""
        self._count_open(-1)
        self._let_one_connect()

    def _let_one_connect(self) -> bool:
        """Let the first call that waits connect, if there is room. Return whether one does."""
        if self._open >= self.config.max_open or (waiter := self._next_waiter()) is None:
            return False
        self._count_open(1)
        waiter.set_result(None)
        return True

    def _try_again(self) -> None:
        """Try whether this machine can make one more connection now."""
        self._starved = None
        self._let_one_connect()

    async def _connect(self, patience: Patience) -> UpstreamConnection:
        """Connect in a slot that was counted already."""
        started = time.monotonic()
        due = within(patience.connect, "connect", patience.deadline, started)
        try:
            connection = await self._dial(self, due)
        except LocalFailure:
            self.stats.connect_errors += 1
            if self._open > 1:  # another connection will fall free, and nobody need fail
                self._count_open(-1)
                if self._starved is None:
                    self._starved = self.loop.call_later(_TRY_AGAIN, self._try_again)
                return await self._wait(patience.less(time.monotonic() - started))
            self._free_place()
            raise
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                self.stats.connect_errors += 1
            self._free_place()
            raise
        self.stats.connects += 1
        if debug.on:
            _log.debug("connected %r, %r", connection, self)
        self.stats.connect.observe(time.monotonic() - started)
        if self._waiting:  # they were starved: what this one could, the next can
            self._let_one_connect()
        return connection

    async def _wait(self, patience: Patience) -> UpstreamConnection:
        if len(self._waiting) >= self.config.max_waiting:
            raise Overloaded(f"{len(self._waiting)} calls already wait for a connection")
        if debug.on:
            _log.debug("a call waits for a connection of %r", self)
        waiter: asyncio.Future[UpstreamConnection | None]
        waiter = self.loop.create_future()
        self._waiting.append(waiter)
        self.stats.waiting += 1
        began = time.monotonic()
        due = within(patience.queue, "queue", patience.deadline, began)
        try:
            async with asyncio.timeout(due.seconds):
                granted = await waiter
        except asyncio.CancelledError:
            self._leave(waiter)
            raise
        except TimeoutError:
            self._leave(waiter)
            if due.name == "total":
                raise DeadlineExceeded("the call's `total` timeout has expired") from None
            message = f"no connection became free within {due.seconds:g} s"
            raise Overloaded(message, code="pool_timeout") from None
        patience = patience.less(time.monotonic() - began)
        if granted is None:
            return await self._connect(patience)
        if not granted.closed and granted.quiet():
            return granted
        granted.abort()  # it died, or has a stray reply, since its release: its slot is free again
        return await self.acquire(patience)

    def _leave(self, waiter: asyncio.Future[UpstreamConnection | None]) -> None:
        """Take a call out of the queue, or pass on the connection that it was just given."""
        if waiter.cancelled() or not waiter.done():
            if waiter in self._waiting:
                self._waiting.remove(waiter)
                self.stats.waiting -= 1
            return
        granted = waiter.result()
        if granted is None:
            self._free_place()
        elif not granted.closed:
            self.release(granted)

    # -- idle connections --

    def _arm_sweep(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
        self._hurried = self._surplus() > 0
        rest = self.config.idle_timeout / 4
        seconds = max(0.05, min(rest, _UNNEEDED / 2) if self._hurried else rest)
        self._sweep = self.loop.call_later(seconds, self._swept)

    def _swept(self) -> None:
        self._sweep = None
        now = time.monotonic()
        for connection in self._idle[: self._surplus()]:  # the first were needed least of late
            if now - connection.idle_since >= _UNNEEDED:
                connection.abort()
        self.close_idle(lambda connection: not self._fresh(connection, now))
        if self._idle:
            self._arm_sweep()
