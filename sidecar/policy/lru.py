"""A mapping that is bounded in bytes: what was not used for longest goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Lru(Generic[K, V]):
    """At most *most* bytes, as the caller counts them."""

    def __init__(self, most: int) -> None:
        self.size = 0
        """Bytes of all values."""
        self.evicted = 0
        """Values that made room for others."""
        self._most = most
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> V | None:
        """Return the value under *key*; it is used now."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, size: int) -> bool:
        """Keep *value*, which takes *size* bytes. Return False if it alone takes too many."""
        self.drop(key)
        if size > self._most:
            return False
        self._kept[key] = value, size
        self.size += size
        self._shrink()
        return True

    def drop(self, key: K) -> bool:
        """Forget *key*; return whether it was here."""
        found = self._kept.pop(key, None)
        if found is not None:
            self.size -= found[1]
        return found is not None

    def drop_if(self, condition: Callable[[V], bool]) -> int:
        """Forget all values that meet *condition*; return their number."""
        gone = [key for key, (value, _) in self._kept.items() if condition(value)]
        for key in gone:
            self.drop(key)
        return len(gone)

    def resize(self, most: int) -> None:
        """Have room for *most* bytes from now on."""
        self._most = most
        self._shrink()

    def _shrink(self) -> None:
        while self.size > self._most:
            _, (_, size) = self._kept.popitem(last=False)
            self.size -= size
            self.evicted += 1
