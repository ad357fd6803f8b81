"""What outlives a configuration: budgets, limits, queues, each by the name of what it belongs to.

A new configuration collects what it needs in a transaction, with what is there already; only the
commit changes anything that serves.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class SharedState:
    """Holds what the configuration in force needs."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}

    def begin(self) -> Transaction:
        """Begin a configuration."""
        return Transaction(self._kept)

    def commit(self, transaction: Transaction) -> None:
        """Keep what *transaction* has and nothing else; what it shares gets its new settings."""
        self._kept = transaction.kept
        for change in transaction.changes:
            change()


class Transaction:
    """What a configuration that is not in force yet needs."""

    def __init__(self, before: dict[Hashable, Any]) -> None:
        self.kept: dict[Hashable, Any] = {}
        self.changes: list[Callable[[], None]] = []
        self._before = before

    def get(
        self, key: Hashable, make: Callable[[], T], change: Callable[[T], None] | None = None
    ) -> T:
        """What stands under *key*, made if it is new; *change* is called if it is not."""
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
