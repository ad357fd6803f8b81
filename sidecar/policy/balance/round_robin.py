"""Every endpoint in turn, the heavier ones more often."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Collection, Iterable, Sequence
from heapq import heapify, heapreplace
from itertools import accumulate, cycle, islice
from math import inf
from typing import Final

from sidecar.policy.balance.base import BalanceSettings, Random, Weights
from sidecar.policy.load import Load

_GOLDEN: Final = 0.6180339887498949
"""Multiples of it, modulo 1, lie evenly however many there are."""


class RoundRobin:
    """Plain turns while all weigh the same; else earliest deadline first.

    Each pick moves a member's deadline on by 1/weight (as in Envoy's `EdfScheduler`). The first
    deadlines lie evenly within that, so that a heavy member's turns are spread out: if all began
    together, it would have most of its turns before the light ones had their first. Where it begins
    is random: sidecars that start together must not all call the same endpoint first.
    """

    def __init__(self, settings: BalanceSettings) -> None:
        self._weights = Weights(settings.slow_start)
        self._members: Sequence[Load] = ()
        self._due = inf
        """When turns are to be arranged anew."""
        self._turns: Iterable[Load] = ()
        self._next: Callable[[], Load]
        self._heap: list[tuple[float, int, float, Load]] = []
        """Deadlines, with the step to the next; the number keeps loads from being compared."""
        self._weighted: Sequence[tuple[Load, float]] = ()
        """Members with their weights, where these differ."""

    def update(self, members: Sequence[Load], now: float) -> None:
        """Set members and weights; the current turn goes on."""
        if not self._heap:  # one round, by which the next arrangement knows whose turn it is
            self._turns = list(islice(self._turns, len(self._members)))
        self._members = members
        self._due = -inf

    def pick(self, key: int, now: float, random: Random, avoid: Collection[Load] = ()) -> Load:
        """Pick the next in turn."""
        if now >= self._due:
            self._arrange(now, random)
        if avoid:
            return self._another(avoid, random)
        return self._earliest() if self._heap else self._next()

    def _another(self, avoid: Collection[Load], random: Random) -> Load:
        """Pick any that is not avoided, by weight. The turn does not move.

        Were the turn moved on by retries, it would keep time with them: of two endpoints, the one
        that fails would get every first attempt of a caller that makes one call after another.
        """
        all_of_them = self._weighted or [(member, 1.0) for member in self._members]
        found = [each for each in all_of_them if each[0] not in avoid] or all_of_them
        marks = list(accumulate(weight for _, weight in found))
        return found[bisect(marks, random() * marks[-1], 0, len(found) - 1)][0]

    def _arrange(self, now: float, random: Random) -> None:
        weights = self._weights.of(self._members, now)
        self._due = self._weights.due
        if len(set(weights)) == 1:
            self._take_turns(random)
        else:
            self._set_deadlines(weights, random)

    def _take_turns(self, random: Random) -> None:
        members = self._members
        turns = [entry[3] for entry in sorted(self._heap)] or self._turns
        positions = {member: position for position, member in enumerate(members)}
        known = (positions[member] for member in turns if member in positions)
        first = next(known, int(random() * len(members)))
        self._heap = []
        self._weighted = []
        self._turns = cycle([*members[first:], *members[:first]])
        self._next = self._turns.__next__

    def _set_deadlines(self, weights: list[float], random: Random) -> None:
        before = {entry[3]: entry[0] for entry in self._heap}
        start = min(before.values(), default=0.0)
        phase = random()
        self._heap = []
        self._weighted = list(zip(self._members, weights, strict=True))
        for number, (member, weight) in enumerate(self._weighted):
            step = 1.0 / weight
            phase = (phase + _GOLDEN) % 1.0
            deadline = min(before.get(member, start + phase * step), start + step)
            self._heap.append((deadline, number, step, member))
        heapify(self._heap)

    def _earliest(self) -> Load:
        deadline, number, step, member = self._heap[0]
        heapreplace(self._heap, (deadline + step, number, step, member))
        return member
