"""Hashes that are the same in every process, and the bound on what a hash may send somewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from hashlib import blake2b
from math import fsum, sqrt
from typing import Final

from sidecar.policy.balance.base import FEW, BalanceSettings, Weights
from sidecar.policy.load import Load

_RECENT: Final = 256
"""Picks that measure each key's share of the calls: 30 % shows as 24 % to 36 %."""
_SIGMAS: Final = 2.0
"""Standard deviations that chance may have: one draw of forty has more."""
_UNJUDGED: Final = 8
"""A key with as few calls among them is not told from the others."""


def stable_hash(data: bytes) -> int:
    """64 bits of *data* (Python's own `hash` differs from process to process)."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


class Bound:
    """Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, SODA 2018).

    A member may have *overload* times its fair share of the calls in flight, the next one included,
    and what chance adds to that; what would be more goes to the key's next choice. Shares go by the
    weights as slow start has them, so that what a new member may not take yet is the others'.

    Chance adds twice, and neither is a reason to lose a prompt's cache. Of `n` calls that arrive
    independently, n plus or minus sqrt(n) are in flight (Poisson): with 2 in flight that is more
    than any share. And `k` keys fall on the members by chance, k plus or minus sqrt(k): of 20 keys,
    one of 4 members often has 9. A key that alone makes more calls than its member may have is no
    chance: its calls get a narrower bound.

    The calls of a few members are added up. For many, all those of the upstream stand for them:
    where some of its endpoints are no members, the bound is wider than it says.
    """

    __slots__ = (
        "_calls", "_counts", "_key", "_members", "_overload", "_recent", "_weights", "_whole",
    )  # fmt: skip

    def __init__(self, settings: BalanceSettings) -> None:
        self._overload = settings.overload
        self._weights = Weights(settings.slow_start)
        self._members: Sequence[Load] = ()
        self._whole = 1.0
        self._calls = 0
        """In flight, the next one included."""
        self._recent: deque[int] = deque()
        """Keys of the last picks."""
        self._counts: dict[int, int] = {}
        """How often each is among them."""
        self._key = 0
        """How often the key that is picked for is among them."""

    def update(self, members: Sequence[Load], now: float) -> None:
        """Set members and weights."""
        self._members = members
        self._whole = fsum(self._weights.of(members, now))

    def measure(self, key: int, now: float) -> None:
        """Before a pick for *key*: how many calls there are, and how many of them are its own."""
        if now >= self._weights.due:
            self.update(self._members, now)
        members = self._members
        in_flight = members[0].total.in_flight
        if len(members) <= FEW:
            in_flight = 0
            for member in members:
                in_flight += member.in_flight
        self._calls = in_flight + 1
        self._count(key)

    def _count(self, key: int) -> None:
        recent, counts = self._recent, self._counts
        if len(recent) == _RECENT:
            oldest = recent.popleft()
            counts[oldest] -= 1
            if not counts[oldest]:
                del counts[oldest]
        recent.append(key)
        self._key = counts[key] = counts.get(key, 0) + 1

    def admits(self, member: Load, now: float) -> bool:
        """Whether *member* may have one more call of the key that was measured."""
        if not member.in_flight:
            return True
        ramp = self._weights.ramp(member, now)
        share = member.weight * ramp / self._whole
        fair = self._calls * share
        more = member.in_flight - self._overload * fair
        if more < 0.0:
            return True
        if ramp < 1.0:  # it is kept low on purpose: chance must not lift it
            return False
        if self._key > _UNJUDGED and self._key > self._overload * share * len(self._recent):
            return more < sqrt(fair)
        keys = max(1.0, len(self._counts) * share)
        return more < _SIGMAS * (sqrt(fair) + fair / sqrt(keys))
