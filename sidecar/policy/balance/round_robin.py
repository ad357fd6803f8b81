"""Every endpoint in turn, the heavier ones more often."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from heapq import heapify, heappop, heappush, heapreplace

from sidecar.policy.balance.base import BalanceSettings, Random, Weights
from sidecar.policy.load import Load


class RoundRobin:
    """Plain turns while all weigh the same; else earliest deadline first.

    Each pick moves a member's deadline on by 1/weight (as in Envoy's `EdfScheduler`), which spreads
    a heavy member's turns out instead of giving them to it in a row. Where it begins is random:
    sidecars that start together must not all call the same endpoint first.
    """

    def __init__(self, settings: BalanceSettings) -> None:
        self._weights = Weights(settings.slow_start)
        self._members: Sequence[Load] = ()
        self._turn = -1
        self._heap: list[tuple[float, int, float, Load]] = []
        """Deadlines, with the step to the next; the number keeps loads from being compared."""

    def update(self, members: Sequence[Load], now: float) -> None:
        """Take members and weights; whose turn it was goes on."""
        weights = self._weights.of(members, now)
        self._members = members
        if len(set(weights)) == 1:
            self._heap = []
            return
        before = {entry[3]: entry[0] for entry in self._heap}
        start = min(before.values(), default=0.0)
        steps = [1.0 / weight for weight in weights]
        self._heap = [
            (min(before.get(member, start + step), start + step), number, step, member)
            for number, (member, step) in enumerate(zip(members, steps, strict=True))
        ]
        heapify(self._heap)

    def pick(self, key: int, now: float, random: Random, avoid: Collection[Load] = ()) -> Load:
        """The next in turn."""
        if now >= self._weights.due:
            self.update(self._members, now)
        if self._heap:
            return self._earliest(avoid)
        members = self._members
        count = len(members)
        if self._turn < 0:
            self._turn = int(random() * count)
        for _ in range(count):
            self._turn = turn = (self._turn + 1) % count
            if not avoid or members[turn] not in avoid:
                break
        return members[turn]

    def _earliest(self, avoid: Collection[Load]) -> Load:
        heap = self._heap
        passed = []
        while avoid and len(heap) > 1 and heap[0][3] in avoid:
            passed.append(heappop(heap))
        if passed and heap[0][3] in avoid:  # everybody is
            heappush(heap, passed.pop(0))
        deadline, number, step, member = heap[0]
        heapreplace(heap, (deadline + step, number, step, member))
        for entry in passed:
            heappush(heap, entry)
        return member
