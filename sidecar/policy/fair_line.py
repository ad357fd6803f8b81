"""Who waits, so that who sends most does not keep the others waiting.

Each client has a line of its own, and they take turns (Nagle, RFC 970, 1985: fair queueing). When
there is no room for one more, who has the most waiting gives up its newest (McKenney, "Stochastic
Fairness Queueing", INFOCOM 1990): whoever has few never finds the room taken by who has many.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class FairLine(Generic[T]):
    """Those of one priority. As many lines as there are clients who wait; nobody's is empty."""

    __slots__ = ("_lines", "size")

    def __init__(self) -> None:
        self._lines: OrderedDict[str, OrderedDict[T, None]] = OrderedDict()
        """Ordered sets, whose turn is next first: who leaves the middle is gone in one step."""
        self.size = 0

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[T]:
        """Everybody, in no order that matters."""
        for line in self._lines.values():
            yield from line

    def add(self, client: str, one: T) -> None:
        """*one* of *client* joins, behind the others of its own."""
        line = self._lines.get(client)
        if line is None:
            line = self._lines[client] = OrderedDict()
        line[one] = None
        self.size += 1

    def remove(self, client: str, one: T) -> bool:
        """*one* leaves; False where it did not wait."""
        line = self._lines.get(client)
        if line is None or one not in line:
            return False
        del line[one]
        self.size -= 1
        if not line:
            del self._lines[client]
        return True

    def pop(self) -> T:
        """Whose turn it is; its client's next comes after one of each other's."""
        client, line = next(iter(self._lines.items()))
        one, _ = line.popitem(last=False)
        self.size -= 1
        if line:
            self._lines.move_to_end(client)
        else:
            del self._lines[client]
        return one

    def ahead(self, client: str) -> int:
        """How many go before one more of *client*, at most."""
        own = self._lines.get(client, ())
        turns = len(own) + 1
        others = len(self._lines) - bool(own)
        return min(self.size, len(own) + turns * others)

    def surplus(self, client: str) -> T | None:
        """The newest of who has most, where that is more than *client* would have with one more."""
        own = len(self._lines.get(client, ()))
        if own * len(self._lines) >= self.size:  # not below the average: most would be its own
            return None
        longest = max(self._lines.values(), key=len)
        return next(reversed(longest)) if len(longest) > own + 1 else None
