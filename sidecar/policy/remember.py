"""Remembers keys for a while: bounded in number, and in time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Remembered(Generic[K]):
    """At most *most* keys, each until its time is over; one more drops the oldest."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._until: OrderedDict[K, float] = OrderedDict()

    def add(self, key: K, until: float) -> None:
        """Remember *key* until then, on the caller's clock."""
        self._until[key] = until
        self._until.move_to_end(key)
        if len(self._until) > self._most:
            self._until.popitem(last=False)

    def has(self, key: K, now: float) -> bool:
        """Whether it is remembered."""
        until = self._until.get(key)
        if until is None:
            return False
        if until <= now:
            del self._until[key]
            return False
        return True

    def forget(self, key: K) -> None:
        """Forget *key*, if it is remembered."""
        self._until.pop(key, None)

    def __len__(self) -> int:
        return len(self._until)


class Row(Generic[K]):
    """Counts events in a row for each of at most *most* keys."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: OrderedDict[K, tuple[int, float, float]] = OrderedDict()
        """The count, the time of the last event, and until when it counts."""

    def add(self, key: K, began: float, now: float, until: float) -> int:
        """Count an event of *key* that *began* then; return the count.

        An event that began before the last one happened is not counted. Counts end at *until*.
        """
        count, last, end = self._rows.pop(key, (0, began, now))
        if end <= now:
            count = 1
        elif began >= last:
            count += 1
        self._rows[key] = count, now, until
        if len(self._rows) > self._most:
            self._rows.popitem(last=False)
        return count

    def forget(self, key: K) -> None:
        """Reset the count of *key*."""
        self._rows.pop(key, None)

    def __len__(self) -> int:
        return len(self._rows)
