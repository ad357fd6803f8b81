"""The protocol of a store that many sidecars share."""

from __future__ import annotations

from typing import Protocol


class StoreError(Exception):
    """The store did not do what it was asked."""


class Store(Protocol):
    """Values that disappear in time, under keys. Every method may raise StoreError."""

    async def get(self, key: str) -> bytes | None:
        """Return the value under *key*."""

    async def put(self, key: str, value: bytes, seconds: float) -> None:
        """Keep *value* for *seconds*."""

    async def lock(self, key: str, token: bytes, seconds: float) -> bool:
        """Take the lock *key* for *seconds* at most; return False if another holds it."""

    async def unlock(self, key: str, token: bytes) -> None:
        """Give the lock *key* back if *token* holds it."""

    async def purge(self, pattern: str) -> int:
        """Forget all keys that match the glob *pattern*; return their number."""

    async def ping(self) -> None:
        """Connect, so that the first call finds a connection."""

    async def close(self) -> None:
        """Close the connections. Never raises."""
