"""`ip_hash`: the same client goes to the same endpoint, and few move when endpoints change."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Collection, Sequence
from hashlib import blake2b
from struct import unpack
from typing import Final

from sidecar.policy.balance.base import BalanceSettings, Random, Weights
from sidecar.policy.balance.hashing import Bound
from sidecar.policy.load import Load

_POINTS: Final = 160
"""Points on the ring for each of a few members (as in libketama): shares differ by some 8 %."""
_ALL_POINTS: Final = 40_000
"""Points of very many members together: building the ring anew must not hold up calls."""
_FEWEST: Final = 8
_IN_A_DIGEST: Final = 8


class Ring:
    """A ring of hashes (Karger and others, STOC 1997), each a point that belongs to a member."""

    def __init__(self, settings: BalanceSettings) -> None:
        self._weights = Weights(settings.slow_start)
        self._bound = Bound(settings.overload)
        self._points: list[int] = []
        self._owners: list[Load] = []
        self._count = 0

    def update(self, members: Sequence[Load], now: float) -> None:
        """Build the ring."""
        weights = sum(member.weight for member in members)
        self._bound.update(weights)
        self._count = len(members)
        each = max(_FEWEST, min(_POINTS, _ALL_POINTS // len(members)))
        placed = [
            (point, number)
            for number, member in enumerate(members)
            for point in _points(member.name, each * member.weight * len(members) / weights)
        ]
        placed.sort()
        self._points = [point for point, _ in placed]
        self._owners = [members[number] for _, number in placed]

    def pick(self, key: int, now: float, random: Random, avoid: Collection[Load] = ()) -> Load:
        """The first on the ring after *key* that is not full; when all are, the first."""
        owners = self._owners
        count = len(owners)
        at = bisect(self._points, key)
        fallback: Load | None = None
        seen: set[Load] = set()
        for step in range(count):
            owner = owners[(at + step) % count]
            if owner in seen:
                continue
            if owner not in avoid:
                if self._bound.admits(owner, self._weights.ramp(owner, now)):
                    return owner
                fallback = fallback or owner
            seen.add(owner)
            if len(seen) == self._count:
                break
        return fallback or owners[at % count]


def _points(name: str, wanted: float) -> list[int]:
    """About *wanted* points of a member, the same in every process."""
    digests = max(1, round(wanted / _IN_A_DIGEST))
    return [
        point
        for number in range(digests)
        for point in unpack(">8Q", blake2b(b"%d:%b" % (number, name.encode())).digest())
    ]
