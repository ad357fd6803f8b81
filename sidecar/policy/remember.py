"""Remembers keys for a while: bounded in number, and in time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Remembered(Generic[K]):
    """Keys, each until its time is over, at most *most*: one more drops the oldest."""

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
    """How often in a row something happened to each of at most *most* keys."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: OrderedDict[K, tuple[int, float, float]] = OrderedDict()
        """How often, when last, and until when that counts."""

    def add(self, key: K, began: float, now: float, until: float) -> int:
        """Something that *began* then has happened to *key*; how often by now.

        What had begun when it happened last is no repetition. It counts until *until*.
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
        """Begin anew for *key*."""
        self._rows.pop(key, None)

    def __len__(self) -> int:
        return len(self._rows)
