"""The protocol of a store that many sidecars share."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from typing import Any, NamedTuple, Protocol


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


class Script(NamedTuple):
    """A program that runs in the store, in one step."""

    text: str
    sha: str
    """By which the store knows it."""


def script(text: str) -> Script:
    """Return the script of *text*, which is in Lua."""
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


class Run(NamedTuple):
    """One run of a script. It touches no other key than *key*."""

    script: Script
    key: str
    arguments: Sequence[str | int]


class Scripts(Protocol):
    """A store that runs scripts. Every method may raise StoreError."""

    async def run(self, runs: Sequence[Run]) -> list[Any]:
        """Return what each run has answered.

        After a StoreError, any of them may have been done, or none.
        """

    async def close(self) -> None:
        """Close the connections. Never raises."""
