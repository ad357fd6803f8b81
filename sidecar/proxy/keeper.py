"""What outlives a configuration: budgets, limits, queues, each by the name of what it belongs to.

A new configuration drafts what it needs, with what is there already; only its commit changes
anything that serves.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Keeper:
    """Holds what the configuration in force needs."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}

    def draft(self) -> Draft:
        """Begin a configuration."""
        return Draft(self._kept)

    def commit(self, draft: Draft) -> None:
        """Keep what *draft* has and nothing else; what it shares gets its new settings."""
        self._kept = draft.kept
        for change in draft.changes:
            change()


class Draft:
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
