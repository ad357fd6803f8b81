"""Hashes that are the same in every process, and the bound on what a hash may send somewhere."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from math import ceil, fsum

from sidecar.policy.balance.base import FEW, BalanceSettings, Weights
from sidecar.policy.load import Load


def stable_hash(data: bytes) -> int:
    """64 bits of *data* (Python's own `hash` differs from process to process)."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


class Bound:
    """Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, SODA 2018).

    A member may have *overload* times its fair share of the calls in flight, the next one included;
    what would be more goes to the key's next choice. Shares go by the weights as slow start has
    them, so that what a new member may not take yet is the others'.

    The calls of a few members are added up. For many, all those of the upstream stand for them:
    where some of its endpoints are no members, the bound is wider than it says.
    """

    __slots__ = ("_each", "_members", "_overload", "_weights", "_whole")

    def __init__(self, settings: BalanceSettings) -> None:
        self._overload = settings.overload
        self._weights = Weights(settings.slow_start)
        self._members: Sequence[Load] = ()
        self._whole = 1.0
        self._each = 0.0

    def update(self, members: Sequence[Load], now: float) -> None:
        """Take members and weights."""
        self._members = members
        self._whole = fsum(self._weights.of(members, now))

    def measure(self, now: float) -> None:
        """Before a pick: how much each unit of weight may have."""
        if now >= self._weights.due:
            self.update(self._members, now)
        members = self._members
        in_flight = members[0].total.in_flight
        if len(members) <= FEW:
            in_flight = 0
            for member in members:
                in_flight += member.in_flight
        self._each = self._overload * (in_flight + 1) / self._whole

    def admits(self, member: Load, now: float) -> bool:
        """Whether *member* may have one more call."""
        if not member.in_flight:
            return True
        weight = member.weight * self._weights.ramp(member, now)
        return member.in_flight < ceil(self._each * weight)
