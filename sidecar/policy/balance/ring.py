"""`ip_hash`: the same client goes to the same endpoint, and few move when endpoints change."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Collection, Sequence
from hashlib import blake2b
from itertools import chain
from math import fsum, log2
from struct import unpack
from typing import Final

from sidecar.policy.balance.base import BalanceSettings, Random
from sidecar.policy.balance.hashing import Bound
from sidecar.policy.load import Load

_POINTS: Final = 256
"""About so many points on the ring for each of a few members: their shares differ by some 6 %."""
_ALL_POINTS: Final = 16_384
"""Points of very many members together: building the ring anew must not hold up calls."""
_IN_A_DIGEST: Final = 8


class Ring:
    """A ring of hashes (Karger and others, STOC 1997), each a point that belongs to a member.

    A member has 2^k points for each unit of its weight. k changes only when all weights together
    have grown or shrunk a lot: were the points scaled to the weights exactly, a member that goes
    would change everybody's points, and move keys between those that stay.
    """

    def __init__(self, settings: BalanceSettings) -> None:
        self._bound = Bound(settings)
        self._points: list[int] = []
        self._owners: list[Load] = []
        self._count = 0
        self._known: dict[tuple[str, int], list[int]] = {}
        """The points of each member."""

    def update(self, members: Sequence[Load], now: float) -> None:
        """Build the ring."""
        self._bound.update(members, now)
        self._count = len(members)
        scale = _scale(members)
        before, self._known = self._known, {}
        owners: dict[int, Load] = {}
        for member in members:
            wanted = member.name, max(1, round(scale * member.weight))
            found = self._known[wanted] = before.get(wanted) or _points(*wanted)
            owners.update(dict.fromkeys(found, member))
        self._points = sorted(owners)
        self._owners = [owners[point] for point in self._points]

    def pick(self, key: int, now: float, random: Random, avoid: Collection[Load] = ()) -> Load:
        """The first on the ring after *key* that is not full; when all are, the first."""
        at = bisect(self._points, key) % len(self._owners)
        first = self._owners[at]
        self._bound.measure(key, now)
        if first not in avoid and self._bound.admits(first, now):
            return first
        return self._beyond(at, now, avoid)

    def _beyond(self, at: int, now: float, avoid: Collection[Load]) -> Load:
        """The next owner after point *at* that is not full."""
        owners = self._owners
        fallback: Load | None = None
        seen: set[Load] = set()
        for index in chain(range(at, len(owners)), range(at)):
            owner = owners[index]
            if owner in seen:
                continue
            if owner not in avoid:
                if self._bound.admits(owner, now):
                    return owner
                fallback = fallback or owner
            seen.add(owner)
            if len(seen) == self._count:
                break
        return fallback or owners[at]


def _scale(members: Sequence[Load]) -> float:
    """Points for each unit of weight: the nearest power of two.

    Rounded down, it would change with any member of another weight among equal ones.
    """
    wanted = min(_POINTS * len(members), _ALL_POINTS)
    return 2.0 ** round(log2(wanted / fsum(member.weight for member in members)))


def _points(name: str, wanted: int) -> list[int]:
    """Those of a member, in order, the same in every process."""
    digests = (
        blake2b(b"%d:%b" % (number, name.encode())).digest()
        for number in range(-(-wanted // _IN_A_DIGEST))
    )
    return sorted([point for digest in digests for point in unpack(">8Q", digest)][:wanted])
