"""What all balancers have in common."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Collection, Sequence
from itertools import accumulate
from typing import Final, NamedTuple, Protocol

from sidecar.policy.load import Load

Random = Callable[[], float]
"""Uniform in [0, 1)."""
FEW: Final = 8
"""Up to so many members are all compared; of more, two are drawn at random. That is nearly as good
(Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001), and its cost does not
grow. Pools of LLM servers are small, and comparing all is best there."""
_LEAST: Final = 0.1
"""Share of its weight that a member begins with in slow start."""
_STEP: Final = 0.1
"""Seconds between two looks at the weights of members in slow start."""


class BalanceSettings(NamedTuple):
    """Of one upstream's calls. Times in seconds."""

    method: str
    """round_robin, least_conn, ip_hash, dynamic or prefix."""
    overload: float = 1.25
    """In hashing: how much more than its fair share of the calls in flight a member may have."""
    slow_start: float = 0.0
    """How long a new member takes to its full weight; 0: none."""
    decay: float = 10.0
    """Time constant of the latency average."""
    stale: float = 10.0
    """Age from which a load report is ignored."""


class Balancer(Protocol):
    """Picks one of its members."""

    def update(self, members: Sequence[Load], now: float) -> None:
        """Set the members, with their current weights."""

    def pick(self, key: int, now: float, random: Random, avoid: Collection[Load] = ()) -> Load:
        """Return one of the members, of which there is at least one.

        None of *avoid* (a call's earlier attempts) unless there are no others. *key* is what
        hashing goes by.
        """


class Weights:
    """The weights of members, slow start included."""

    __slots__ = ("_slow_start", "due")

    def __init__(self, slow_start: float) -> None:
        self._slow_start = slow_start
        self.due = float("inf")
        """When a weight will have changed: never, while no member is in slow start."""

    def of(self, members: Sequence[Load], now: float) -> list[float]:
        """Return the weights *now*, and set `due`."""
        youngest = max((member.since for member in members), default=now)
        self.due = now + _STEP if now - youngest < self._slow_start else float("inf")
        return [member.weight * self.ramp(member, now) for member in members]

    def ramp(self, member: Load, now: float) -> float:
        """Return the share of its weight that *member* has by now: linearly, from a tenth."""
        if not self._slow_start:
            return 1.0
        return min(1.0, max(_LEAST, (now - member.since) / self._slow_start))


class Candidates:
    """Members, each with its weight: all of a few, two of many."""

    __slots__ = ("_all", "_marks", "_members", "_weights")

    def __init__(self, slow_start: float) -> None:
        self._weights = Weights(slow_start)
        self._members: Sequence[Load] = ()
        self._all: list[tuple[Load, float]] = []
        self._marks: list[float] = []
        """Cumulative weights, where there are many members."""

    def update(self, members: Sequence[Load], now: float) -> None:
        """Take the members."""
        self._members = members
        self._all = list(zip(members, self._weights.of(members, now), strict=True))
        self._marks = _marks(self._all)

    def draw(
        self, now: float, random: Random, avoid: Collection[Load]
    ) -> Sequence[tuple[Load, float]]:
        """Return the members to choose from; none of *avoid* unless there are no others.

        The two of many are drawn by their weights, since a heavy one that is drawn as seldom as the
        others can't get its share. They may be the same.
        """
        if now >= self._weights.due:
            self.update(self._members, now)
        found, marks = self._all, self._marks
        if avoid:
            found = [each for each in found if each[0] not in avoid] or found
            marks = _marks(found)
        if not marks:
            return found
        whole, last = marks[-1], len(marks) - 1
        return (
            found[bisect(marks, random() * whole, 0, last)],
            found[bisect(marks, random() * whole, 0, last)],
        )


def _marks(found: list[tuple[Load, float]]) -> list[float]:
    return list(accumulate(weight for _, weight in found)) if len(found) > FEW else []
