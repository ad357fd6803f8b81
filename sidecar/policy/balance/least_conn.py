"""The endpoint that has the fewest calls in flight for its weight."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import inf

from sidecar.policy.balance.base import BalanceSettings, Candidates, Random
from sidecar.policy.load import Load


class LeastConn:
    """Compares (in flight + a random part of one more call) / weight.

    The random part decides between equals. It also gives the lighter ones a share where there is
    little to do: if it were a whole call, an idle heavy member would be chosen every time.
    """

    def __init__(self, settings: BalanceSettings) -> None:
        self._candidates = Candidates(settings.slow_start)

    def update(self, members: Sequence[Load], now: float) -> None:
        """Take the members."""
        self._candidates.update(members, now)

    def pick(self, key: int, now: float, random: Random, avoid: Collection[Load] = ()) -> Load:
        """Pick the one that one more call would burden least."""
        least = inf
        for member, weight in self._candidates.draw(now, random, avoid):
            burden = (member.in_flight + random()) / weight
            if burden < least:
                best, least = member, burden
        return best
