"""A fair queue: a client with many calls does not delay the others.

Each client has a queue of its own, and they take turns (Nagle, RFC 970, 1985: fair queueing). When
there is no room for one more, the client with most waiting gives up its newest (McKenney,
"Stochastic Fairness Queueing", INFOCOM 1990): a client with few calls always finds room.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """The waiting calls of one priority: a queue for each client that has any."""

    __slots__ = ("_queues", "size")

    def __init__(self) -> None:
        self._queues: OrderedDict[str, OrderedDict[T, None]] = OrderedDict()
        """Ordered sets, with the client whose turn is next first; removing takes one step."""
        self.size = 0

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[T]:
        """Iterate over all, in no particular order."""
        for queue in self._queues.values():
            yield from queue

    def add(self, client: str, one: T) -> None:
        """Add *one* of *client*, behind the others of that client."""
        queue = self._queues.get(client)
        if queue is None:
            queue = self._queues[client] = OrderedDict()
        queue[one] = None
        self.size += 1

    def remove(self, client: str, one: T) -> bool:
        """Remove *one*. Return False where it does not wait."""
        queue = self._queues.get(client)
        if queue is None or one not in queue:
            return False
        del queue[one]
        self.size -= 1
        if not queue:
            del self._queues[client]
        return True

    def pop(self) -> T:
        """Remove and return the next; its client then goes behind all other clients."""
        client, queue = next(iter(self._queues.items()))
        one, _ = queue.popitem(last=False)
        self.size -= 1
        if queue:
            self._queues.move_to_end(client)
        else:
            del self._queues[client]
        return one

    def ahead(self, client: str) -> int:
        """Return how many would go before one more of *client*, at most."""
        own = self._queues.get(client, ())
        turns = len(own) + 1
        others = len(self._queues) - bool(own)
        return min(self.size, len(own) + turns * others)

    def surplus(self, client: str) -> T | None:
        """Return the newest of the client with most, if it has more than *client* with one more."""
        own = len(self._queues.get(client, ()))
        if own * len(self._queues) >= self.size:  # not below the average: most would be its own
            return None
        longest = max(self._queues.values(), key=len)
        return next(reversed(longest)) if len(longest) > own + 1 else None
