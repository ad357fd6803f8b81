"""The endpoint that has the fewest calls in flight for its weight."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sidecar.policy.balance.base import FEW, BalanceSettings, Random, Weights, others, two_of
from sidecar.policy.load import Load


class LeastConn:
    """Compares all of a few, two of many; among equals the choice is random."""

    def __init__(self, settings: BalanceSettings) -> None:
        self._weights = Weights(settings.slow_start)
        self._slow_start = settings.slow_start > 0
        self._members: Sequence[Load] = ()

    def update(self, members: Sequence[Load], now: float) -> None:
        """Take the members."""
        self._members = members

    def pick(self, key: int, now: float, random: Random, avoid: Collection[Load] = ()) -> Load:
        """The one that a call more would burden least."""
        members = others(self._members, avoid) if avoid else self._members
        count = len(members)
        if count > FEW:
            one, two = two_of(members, random)
            return one if self._burden(one, now) <= self._burden(two, now) else two
        start = int(random() * count)
        best, least = members[start], self._burden(members[start], now)
        for index in range(start + 1 - count, start):
            member = members[index]
            burden = self._burden(member, now)
            if burden < least:
                best, least = member, burden
        return best

    def _burden(self, member: Load, now: float) -> float:
        burden = (member.in_flight + 1) / member.weight
        return burden / self._weights.ramp(member, now) if self._slow_start else burden
