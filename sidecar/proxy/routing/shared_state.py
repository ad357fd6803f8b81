"""State that survives reloads: budgets, limits and queues, each under its owner's key.

A new configuration collects what it needs in a transaction, reusing existing state. Only the commit
changes what serves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar, runtime_checkable

T = TypeVar("T")


@runtime_checkable
class Retired(Protocol):
    """State that ends when no configuration needs it any more."""

    def retire(self) -> asyncio.Future[None] | None:
        """End. What is returned is done when nothing is left of it; None: that is now."""


class SharedState:
    """Holds the state of the configuration in use."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}
        self._ending: set[asyncio.Future[None]] = set()

    def begin(self) -> Transaction:
        """Begin a transaction for a new configuration."""
        return Transaction(self._kept)

    def commit(self, transaction: Transaction) -> None:
        """Keep exactly the state of *transaction*; reused state gets its new settings."""
        gone = [self._kept[key] for key in self._kept.keys() - transaction.kept.keys()]
        self._kept = transaction.kept
        for state in gone:
            if isinstance(state, Retired):
                ending = state.retire()
                if ending is not None:
                    self._ending.add(ending)
                    ending.add_done_callback(self._ending.discard)
        for change in transaction.changes:
            change()

    async def close(self, seconds: float) -> None:
        """Keep nothing, and wait until all of it has ended, at most *seconds*."""
        self.commit(Transaction({}))
        if self._ending:
            await asyncio.wait(self._ending, timeout=seconds)


class Transaction:
    """Collects the state of a configuration that is not in use yet."""

    def __init__(self, before: dict[Hashable, Any]) -> None:
        self.kept: dict[Hashable, Any] = {}
        self.changes: list[Callable[[], None]] = []
        self._before = before

    def get(
        self, key: Hashable, make: Callable[[], T], change: Callable[[T], None] | None = None
    ) -> T:
        """Return the state under *key*; make it if it is new, else call *change* at commit."""
        if key in self.kept:
            found: T = self.kept[key]
            return found
        if key in self._before:
            found = self._before[key]
            if change is not None:
                then = change
                self.changes.append(lambda: then(found))
        else:
            found = make()
        self.kept[key] = found
        return found
