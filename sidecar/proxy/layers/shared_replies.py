"""Replies that many sidecars share, in a store, and locks so that only one of them asks."""

from __future__ import annotations

import asyncio
import random
import time
from hashlib import blake2b
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from sidecar.policy.cache import CacheSettings, asked, state
from sidecar.proxy.sealed import seal, unseal

if TYPE_CHECKING:
    from sidecar.observe.store_stats import StoreStats
    from sidecar.proxy.call import Call
    from sidecar.proxy.stored import StoredReply
    from sidecar.store.guard import Guard, Lock

_SHORTEST: Final = 0.02
_LONGEST: Final = 0.25
"""Seconds between two looks for the reply that another sidecar fetches."""


class SharedOptions(NamedTuple):
    """How replies are shared."""

    prefix: str
    """What all keys begin with."""
    secret: bytes = b""
    """Who has it may write replies; empty: anybody who can write to the store."""
    lock: float = 30.0
    """Seconds that others wait for the one that asks; 0: each asks."""


class SharedReplies:
    """The part of the cache that is behind *guard*."""

    def __init__(self, guard: Guard, options: SharedOptions, stats: StoreStats) -> None:
        self._guard = guard
        self._options = options
        self._stats = stats

    def __repr__(self) -> str:
        return f"<SharedReplies behind {self._guard!r}>"

    def name(self, key: bytes, route: str, model: str | None) -> str:
        """Return where a reply is kept. Route and model are in it, so that they can be purged."""
        return f"{self._options.prefix}:{_short(route)}:{_short(model or '')}:{key.hex()}"

    def purge(self, route: str | None, model: str | None) -> None:
        """Forget the replies of *route* and *model* (None: of any)."""
        parts = ("*" if part is None else _short(part) for part in (route, model))
        self._guard.purge(f"{self._options.prefix}:{':'.join(parts)}:*")

    async def obtain(
        self, call: Call, key: bytes, name: str, settings: CacheSettings
    ) -> StoredReply | Claim:
        """Return a fresh reply of *key*, or the claim to fetch it.

        While another sidecar fetches it, wait for that: at most as long as its lock lives.
        """
        now = time.monotonic()
        end = min(now + self._options.lock, inf if call.deadline is None else call.deadline)
        step = _SHORTEST
        while True:
            found = await self._find(call, key, name, settings)
            if found is not None:
                return found
            lock = await self._lock(name)
            if lock != "held" or time.monotonic() >= end:
                token = lock if isinstance(lock, bytes) else None
                return Claim(self._guard, self._options.secret, key, name, token)
            await asyncio.sleep(step * (0.5 + random.random()))
            step = min(_LONGEST, step * 1.5)

    async def _find(
        self, call: Call, key: bytes, name: str, settings: CacheSettings
    ) -> StoredReply | None:
        value = await self._guard.get(name)
        if value is None:
            return None
        reply = unseal(key, value, self._options.secret, settings.most)
        if reply is None:
            self._stats.results["foreign"] += 1
            return None
        wants = asked(call.head.fields.get(b"cache-control"))
        age = time.time() - reply.stored
        return reply if state(age, reply.life, settings, wants, reply.status) == "fresh" else None

    async def _lock(self, name: str) -> Lock:
        if not self._options.lock:
            return "unknown"
        return await self._guard.lock(f"{name}:lock", self._options.lock)


class Claim:
    """To fetch a reply. It is given up, or the reply is published, exactly once."""

    def __init__(
        self, guard: Guard, secret: bytes, key: bytes, name: str, token: bytes | None
    ) -> None:
        self._guard = guard
        self._secret = secret
        self._key = key
        self._name = name
        self._token = token

    def settle(self, reply: StoredReply | None) -> None:
        """Publish *reply*; None: there is none to be kept."""
        token, self._token = self._token, None
        lock = f"{self._name}:lock"
        if reply is not None:
            value = seal(self._key, reply, self._secret)
            if token is not None:
                self._guard.put_and_unlock(self._name, value, reply.life, lock, token)
            else:
                self._guard.put(self._name, value, reply.life)
        elif token is not None:
            self._guard.unlock(lock, token)


def _short(text: str) -> str:
    return blake2b(text.encode(), digest_size=6).hexdigest()
