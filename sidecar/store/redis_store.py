"""A store in Redis, with redis-py's asyncio client: one server, a Sentinel's master, or a cluster.

redis-py is an optional extra, imported when a store is made. A command that was sent is never
cancelled: the client would have to drop its connection. It has a timeout of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sidecar.store.base import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from sidecar.store.base import Run

_TIMEOUT: Final = 1.0
"""Seconds for a connect, and for a command."""
_BATCH: Final = 500
_UNLOCK: Final = (
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
)
"""Compare and delete in one step: the lock may have expired, and be another's by now."""


class RedisSettings(NamedTuple):
    """Where Redis is, and how to log in."""

    url: str
    username: str | None = None
    password: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    sentinels: tuple[tuple[str, int], ...] = ()
    """Addresses of Sentinels, which know where the master is; the URL's host is not used then."""
    master: str = ""
    cluster: bool = False
    connections: int = 24


class RedisStore:
    """Connects when it is first asked."""

    def __init__(self, settings: RedisSettings) -> None:
        """Raise OSError if redis-py is not installed, or a file can't be read."""
        try:
            from redis.exceptions import NoScriptError, RedisClusterException, RedisError
        except ImportError:
            raise OSError(
                "store.redis: needs the package redis: pip install 'llm-sidecar-proxy[redis]'"
            ) from None
        self._failures = (RedisError, OSError, TimeoutError)
        self._unknown = NoScriptError
        self._cluster = settings.cluster
        self._at_once = settings.connections
        try:
            self._client, self._others = _clients(settings)
        except (RedisError, RedisClusterException) as error:
            raise OSError(f"store.redis: redis-py refuses this: {error}") from None

    def __repr__(self) -> str:
        return "<RedisStore>"

    async def get(self, key: str) -> bytes | None:
        """Return the value under *key*."""
        found: bytes | None = await self._ask(self._client.get(key))
        return found

    async def put(self, key: str, value: bytes, seconds: float) -> None:
        """Keep *value* for *seconds*."""
        await self._ask(self._client.set(key, value, px=_milliseconds(seconds)))

    async def lock(self, key: str, token: bytes, seconds: float) -> bool:
        """Take the lock; it is given back by itself after *seconds*."""
        taken = self._client.set(key, token, nx=True, px=_milliseconds(seconds))
        return bool(await self._ask(taken))

    async def unlock(self, key: str, token: bytes) -> None:
        """Give the lock back."""
        await self._ask(self._client.eval(_UNLOCK, 1, key, token))

    async def purge(self, pattern: str) -> int:
        """Walk all keys: this takes time, and blocks nobody."""
        count = 0
        try:
            batch: list[bytes] = []
            async for key in self._client.scan_iter(match=pattern, count=_BATCH):
                batch.append(key)
                if len(batch) >= _BATCH:
                    count += await self._unlink(batch)
                    batch = []
            return count + await self._unlink(batch)
        except self._failures as error:
            raise StoreError(str(error)) from None

    async def _unlink(self, keys: list[bytes]) -> int:
        """One at a time: in a cluster, keys are on different servers."""
        count = 0
        for key in keys:
            count += await self._client.unlink(key)
        return count

    async def run(self, runs: Sequence[Run]) -> list[Any]:
        """Run scripts, in one exchange where that is possible."""
        replies: list[Any] = await self._ask(self._evaluate(runs, by_name=True))
        new = [index for index, reply in enumerate(replies) if isinstance(reply, self._unknown)]
        if new:  # Redis has started since, or has never seen them
            again = await self._ask(self._evaluate([runs[i] for i in new], by_name=False))
            for index, reply in zip(new, again, strict=True):
                replies[index] = reply
        for reply in replies:
            if isinstance(reply, Exception):
                raise StoreError(f"{type(reply).__name__}: {reply}")
        return replies

    async def _evaluate(self, runs: Sequence[Run], *, by_name: bool) -> list[Any]:
        """Return replies and errors of single runs."""
        if self._cluster:  # redis-py allows no scripts in the pipeline of a cluster
            replies: list[Any] = []
            for first in range(0, len(runs), self._at_once):
                some = runs[first : first + self._at_once]
                asked = (_evaluation(self._client, run, by_name=by_name) for run in some)
                replies += await asyncio.gather(*asked, return_exceptions=True)
            return replies
        pipeline = self._client.pipeline(transaction=False)
        for run in runs:
            _evaluation(pipeline, run, by_name=by_name)
        done: list[Any] = await pipeline.execute(raise_on_error=False)
        return done

    async def ping(self) -> None:
        """Connect."""
        await self._ask(self._client.ping())

    async def close(self) -> None:
        """Close the connections."""
        for client in (self._client, *self._others):
            with contextlib.suppress(*self._failures):
                await client.aclose()

    async def _ask(self, command: Awaitable[Any]) -> Any:
        try:
            return await command
        except self._failures as error:
            raise StoreError(f"{type(error).__name__}: {error}") from None


def _evaluation(client: Any, run: Run, *, by_name: bool) -> Any:
    if by_name:
        return client.evalsha(run.script.sha, 1, run.key, *run.arguments)
    return client.eval(run.script.text, 1, run.key, *run.arguments)


def _clients(settings: RedisSettings) -> tuple[Any, list[Any]]:
    """Return the client, and those of Sentinels, which it does not close."""
    from redis.asyncio import Redis, RedisCluster, Sentinel
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    # Another try would come too late for the call that asked.
    options: dict[str, Any] = {
        "socket_timeout": _TIMEOUT,
        "socket_connect_timeout": _TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": settings.connections,
    }
    if settings.username is not None:
        options["username"] = settings.username
    if settings.password is not None:
        options["password"] = settings.password
    if settings.url.startswith("rediss:"):
        options["ssl_cert_reqs"] = "required"
        options["ssl_check_hostname"] = True
        options |= {
            name: value
            for name, value in (
                ("ssl_ca_certs", settings.ca),
                ("ssl_certfile", settings.cert),
                ("ssl_keyfile", settings.key),
            )
            if value is not None
        }
    if settings.cluster:
        return RedisCluster.from_url(settings.url, **options), []
    if settings.sentinels:
        if settings.url.startswith("rediss:"):
            options["ssl"] = True
        sentinel = Sentinel(settings.sentinels, **options)  # type: ignore[no-untyped-call]
        return sentinel.master_for(settings.master), list(sentinel.sentinels)
    return Redis.from_url(settings.url, **options), []


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1e3))
