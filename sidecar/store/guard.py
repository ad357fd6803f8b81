"""What keeps a slow or absent store from harming calls: a bound of time, one of number, a circuit.

A call waits at most `WAIT` for each question. What is answered later is dropped, and counts as a
failure; while too many fail, nothing is asked.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from math import inf
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from sidecar.policy.breaker import CLOSED, Breaker, Permit
from sidecar.policy.breaker_settings import BreakerSettings
from sidecar.store.base import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sidecar.observe.store_stats import StoreStats
    from sidecar.store.base import Store

_log: Final = logging.getLogger("sidecar.store")
T = TypeVar("T")
WAIT: Final = 0.002
"""Seconds that a call waits for an answer."""
_TRIES: Final = 5
"""Questions of a trial, of which the fastest counts."""
_ANSWERS: Final = 2 * WAIT
"""Seconds in which that must be answered."""
_TURNS: Final = 3
"""Turns of the loop that an answer gets which came in time, while the loop was busy."""
_AT_ONCE: Final = 16
"""Questions in flight that calls wait for; more are not asked."""
_BESIDE: Final = 8
"""Others in flight."""
_QUEUED: Final = 64
"""Others that may wait for their turn, with their values."""
CONNECTIONS: Final = _AT_ONCE + _BESIDE
_CIRCUIT: Final = BreakerSettings(
    failure_rate=0.5,
    slow_rate=1.0,
    slow_after=None,
    min_calls=20,
    window=10.0,
    window_calls=100,
    open=1.0,
    open_max=5.0,  # a trial costs no call anything
    jitter=0.2,
    trials=3,
)
Lock = bytes | Literal["held", "unknown"]
"""The token of a lock that was taken; or another holds it; or the store did not say."""


class Guard:
    """Asks *store*. No method raises, and what calls wait for takes `WAIT` at most."""

    def __init__(self, store: Store, stats: StoreStats) -> None:
        self._store = store
        self._stats = stats
        self._asked: set[asyncio.Task[Any]] = set()
        self._queued = 0
        self._places = asyncio.Semaphore(_BESIDE)
        self._circuit = Breaker(_CIRCUIT, self._changed, random.random)

    def __repr__(self) -> str:
        return f"<Guard of {self._store!r}, {self._circuit.status}>"

    @property
    def available(self) -> bool:
        """Whether the store is asked at all."""
        return self._circuit.status == CLOSED

    def start(self) -> None:
        """Connect, so that the first call need not."""
        self._later(self._store.ping())

    def retire(self) -> asyncio.Future[None]:
        """Close it when all that was asked is over; what is returned is done then."""
        return asyncio.ensure_future(self._close())

    async def _close(self) -> None:
        while self._asked:
            await asyncio.wait(self._asked)
        await self._store.close()

    # -- what calls wait for --

    async def get(self, key: str) -> bytes | None:
        """Return the value under *key*; None also if the store does not say."""
        found = await self._soon(lambda: self._store.get(key))
        self._stats.results["miss" if found is None else "hit"] += 1
        return found

    async def lock(self, key: str, seconds: float) -> Lock:
        """Take the lock *key*."""
        token = secrets.token_bytes(16)

        def late(taken: bool) -> None:
            if taken:  # nobody knows of it
                self.unlock(key, token)

        taken = await self._soon(lambda: self._store.lock(key, token, seconds), late)
        if taken is None:
            return "unknown"
        return token if taken else "held"

    # -- what they don't wait for --

    def put(self, key: str, value: bytes, seconds: float) -> None:
        """Keep *value* under *key*."""
        self._later(self._store.put(key, value, seconds))

    def unlock(self, key: str, token: bytes) -> None:
        """Give the lock *key* back."""
        self._later(self._store.unlock(key, token))

    def put_and_unlock(
        self, key: str, value: bytes, seconds: float, lock: str, token: bytes
    ) -> None:
        """Keep *value* first, so that whoever takes the lock next finds it."""
        self._later(self._put_and_unlock(key, value, seconds, lock, token))

    async def _put_and_unlock(
        self, key: str, value: bytes, seconds: float, lock: str, token: bytes
    ) -> None:
        try:
            await self._store.put(key, value, seconds)
        finally:
            await self._store.unlock(lock, token)

    def purge(self, pattern: str) -> None:
        """Forget all keys that match *pattern*; the log tells how many."""
        self._later(self._purge(pattern))

    async def _purge(self, pattern: str) -> None:
        count = await self._store.purge(pattern)
        _log.info("purged the shared store", extra={"purged": count})

    # -- how --

    async def _soon(
        self,
        ask: Callable[[], Coroutine[Any, Any, T]],
        late: Callable[[T], None] | None = None,
    ) -> T | None:
        """Return the answer; None if there is none in time."""
        now = time.monotonic()
        if len(self._asked) - self._queued >= _AT_ONCE:
            self._stats.results["busy"] += 1
            return None
        permit = self._circuit.acquire(now)
        if permit is not None and not self.available:
            self._task(self._try(permit))
        if permit is None or not self.available:
            self._stats.results["refused"] += 1
            return None
        task = self._task(ask())
        try:
            await asyncio.wait((task,), timeout=WAIT)
            for _ in range(_TURNS):
                if not task.done():
                    await asyncio.sleep(0)
        except BaseException:
            self._circuit.cancel(permit)
            raise
        took = time.monotonic() - now
        failed = not task.done() or task.exception() is not None
        self._circuit.settle(permit, now + took, failed, took)
        if not task.done():
            self._stats.results["late"] += 1
            if late is not None:
                told = late
                task.add_done_callback(lambda done: None if _failed(done) else told(done.result()))
            return None
        self._stats.seconds.observe(took)
        if failed:
            return None
        return task.result()

    async def _try(self, permit: Permit) -> None:
        """See whether the store answers again.

        No call waits for that: the store may have to connect first, and the loop may be busy, which
        says nothing about the store.
        """
        best = inf
        try:
            for _ in range(_TRIES):
                began = time.monotonic()
                await self._store.ping()
                best = min(best, time.monotonic() - began)
        finally:
            now = time.monotonic()
            self._circuit.settle(permit, now, best > _ANSWERS, 0.0)

    def _later(self, what: Coroutine[Any, Any, None]) -> None:
        if not self.available or self._queued >= _QUEUED:
            what.close()
            self._stats.results["busy" if self.available else "refused"] += 1
        else:
            self._queued += 1
            self._task(self._in_turn(what))

    async def _in_turn(self, what: Coroutine[Any, Any, None]) -> None:
        try:
            async with self._places:
                await what
        finally:
            what.close()
            self._queued -= 1

    def _task(self, what: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.ensure_future(what)
        self._asked.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._asked.discard(task)
        if _failed(task):
            self._stats.results["error"] += 1
            error = None if task.cancelled() else task.exception()
            self._stats.last_error = "" if error is None else str(error)[:200]
            if error is not None and not isinstance(error, StoreError):
                _log.error("internal error in the shared store", exc_info=error)

    def _changed(self, _: Breaker, old: str, new: str, now: float) -> None:
        self._stats.state = new
        if new == CLOSED:
            _log.info("the shared store answers again")
        elif old == CLOSED:
            _log.warning(
                "the shared store does not answer in time; calls go on without it",
                extra={"error": self._stats.last_error or "late"},
            )


def _failed(task: asyncio.Task[Any]) -> bool:
    return task.cancelled() or task.exception() is not None
