"""The connections to one endpoint.

State: `_idle` (a stack: the last used is the warmest), `_open` (all of ours, those still connecting
too) and `_waiting` (callers in the order in which they came). Every change is one synchronous step;
connecting happens after it. A place that falls free goes to the first who waits, never past the
queue.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from sidecar.errors import Overloaded

if TYPE_CHECKING:
    from sidecar.config.model import Pool as PoolConfig
    from sidecar.observe.stats import EndpointStats
    from sidecar.upstream.connection import UpstreamConnection

Dial = Callable[["Pool"], Awaitable["UpstreamConnection"]]


class Pool:
    """At most `config.max_open` connections, made by *dial*. `config` may be replaced any time."""

    def __init__(self, config: PoolConfig, stats: EndpointStats, dial: Dial) -> None:
        self.config = config
        self.stats = stats
        self.retired = False
        self.loop = asyncio.get_running_loop()
        self._dial = dial
        self._idle: list[UpstreamConnection] = []
        self._open = 0
        self._waiting: deque[asyncio.Future[UpstreamConnection | None]] = deque()
        self._sweep: asyncio.TimerHandle | None = None

    def take(self) -> UpstreamConnection | None:
        """An idle connection that is still good, or None. Never waits."""
        if not self._idle:
            return None
        now = time.monotonic()
        while self._idle:
            connection = self._idle.pop()
            self.stats.idle -= 1
            if self._fresh(connection, now):
                return connection
            connection.abort()
        return None

    async def acquire(self, *, reuse: bool = True) -> UpstreamConnection:
        """A connection: an idle one if *reuse*, a new one, or the next that falls free.

        Raise Overloaded when too many wait already, ConnectFailed when connecting does not succeed.
        """
        connection = self.take() if reuse else None
        if connection is not None:
            return connection
        if self._open >= self.config.max_open and not reuse:
            self._close_one_idle()
        if self._open < self.config.max_open and not self._waiting:
            self._count_open(1)
            return await self._connect()
        return await self._wait()

    def release(self, connection: UpstreamConnection) -> None:
        """Take back a connection that can be used again."""
        now = time.monotonic()
        if self.retired or now - connection.born > self.config.lifetime:
            connection.abort()
        elif self._waiting and (waiter := self._next_waiter()) is not None:
            waiter.set_result(connection)
        elif len(self._idle) >= self.config.max_idle:
            connection.abort()
        else:
            connection.idle_since = now
            self._idle.append(connection)
            self.stats.idle += 1
            if self._sweep is None:
                self._arm_sweep()

    def discard(self, connection: UpstreamConnection) -> None:
        """A connection has closed: its place goes to the first who waits."""
        if connection in self._idle:
            self._idle.remove(connection)
            self.stats.idle -= 1
        self._free_place()

    def retire(self) -> None:
        """The endpoint is gone: close what is idle now, and the rest after use."""
        self.retired = True
        self.close_idle(lambda _: True)

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
            and now - connection.born <= config.lifetime
            and not connection.closed
        )

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
        """One connection less: the first who waits may open another in its place."""
        self._count_open(-1)
        if self._open < self.config.max_open and (waiter := self._next_waiter()) is not None:
            self._count_open(1)
            waiter.set_result(None)

    async def _connect(self) -> UpstreamConnection:
        """Connect in a place that was counted already."""
        started = time.monotonic()
        try:
            connection = await self._dial(self)
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                self.stats.connect_errors += 1
            self._free_place()
            raise
        self.stats.connects += 1
        self.stats.connect.observe(time.monotonic() - started)
        return connection

    async def _wait(self) -> UpstreamConnection:
        if len(self._waiting) >= self.config.max_waiting:
            raise Overloaded(f"{len(self._waiting)} calls wait for a connection already")
        waiter: asyncio.Future[UpstreamConnection | None]
        waiter = self.loop.create_future()
        self._waiting.append(waiter)
        self.stats.waiting += 1
        try:
            granted = await waiter
        except asyncio.CancelledError:
            self._leave(waiter)
            raise
        if granted is None:
            return await self._connect()
        if granted.closed:  # it died between its release and now; its place is free again
            return await self.acquire()
        return granted

    def _leave(self, waiter: asyncio.Future[UpstreamConnection | None]) -> None:
        """A caller stopped waiting: out of the line, or what it was just given goes on."""
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
        self._sweep = self.loop.call_later(max(0.05, self.config.idle_timeout / 4), self._swept)

    def _swept(self) -> None:
        self._sweep = None
        now = time.monotonic()
        self.close_idle(lambda connection: not self._fresh(connection, now))
        if self._idle:
            self._arm_sweep()
