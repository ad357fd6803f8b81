"""`prefix`: the same start of a prompt goes to the same endpoint, whichever sidecar sends it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from heapq import nsmallest
from itertools import chain, islice
from math import log
from operator import attrgetter
from typing import Final

from sidecar.policy.balance.base import BalanceSettings, Random
from sidecar.policy.balance.hashing import Bound, stable_hash
from sidecar.policy.load import Load

_SLOTS: Final = 16_384
"""Fixed: if it went with the number of members, one more of them would move most keys."""
_CHOICES: Final = 8
"""How many choices of a slot are kept."""
_MASK: Final = 2**64 - 1
_MIX: Final = 0x9E3779B97F4A7C15
_MIX_AGAIN: Final = 0xBF58476D1CE4E5B9
_MIX_LAST: Final = 0x94D049BB133111EB
"""Of splitmix64 (Steele, Lea, Flood, OOPSLA 2014)."""
_STEP: Final = 2.0**-52


class Rendezvous:
    """Weighted rendezvous hashing (Thaler, Ravishankar, 1998; Schindelhauer, Schomaker, 2005).

    Each member has a score for each key, and the highest takes it: all who know the same members
    agree without shared state, and a removed member moves no other member's keys.
    Keys fall into slots, whose ranking is worked out once: a pick is then one look-up, however many
    members there are. Calls beyond what the first choices of a slot can take go to all others, from
    a position that depends on the slot.
    """

    def __init__(self, settings: BalanceSettings) -> None:
        self._bound = Bound(settings)
        self._members: Sequence[Load] = ()
        self._seeds: list[int] = []
        self._ranked: dict[int, list[Load]] = {}

    def update(self, members: Sequence[Load], now: float) -> None:
        """Take the members; slots are ranked when a key first falls into one."""
        self._members = sorted(members, key=attrgetter("name"))
        self._seeds = [stable_hash(member.name.encode()) for member in self._members]
        self._bound.update(members, now)
        self._ranked = {}

    def pick(self, key: int, now: float, random: Random, avoid: Collection[Load] = ()) -> Load:
        """The key's first choice that is not full; when all are, its first."""
        slot = key % _SLOTS
        ranked = self._ranked.get(slot)
        if ranked is None:
            ranked = self._ranked[slot] = self._rank(slot)
        self._bound.measure(key, now)
        for member in ranked:
            if member not in avoid and self._bound.admits(member, now):
                return member
        return self._beyond(slot, ranked, now, avoid)

    def _beyond(self, slot: int, ranked: list[Load], now: float, avoid: Collection[Load]) -> Load:
        """When the choices are full: the next member that is not, or the first choice after all."""
        members = self._members
        at = slot % len(members)
        fallback: Load | None = None
        for member in chain(ranked, islice(members, at, None), islice(members, at)):
            if member not in avoid:
                if self._bound.admits(member, now):
                    return member
                fallback = fallback or member
        return fallback or ranked[0]

    def _rank(self, slot: int) -> list[Load]:
        members = self._members
        salt = (slot + 1) * _MIX & _MASK
        scored = [
            (-log(uniform(seed ^ salt)) / member.weight, number)
            for number, (seed, member) in enumerate(zip(self._seeds, members, strict=True))
        ]
        return [members[number] for _, number in nsmallest(_CHOICES, scored)]


def uniform(bits: int) -> float:
    """Return a number in (0, 1) that depends on each of 64 *bits*."""
    mixed = ((bits ^ bits >> 30) * _MIX_AGAIN) & _MASK
    mixed = ((mixed ^ mixed >> 27) * _MIX_LAST) & _MASK
    return ((mixed >> 12) + 0.5) * _STEP
