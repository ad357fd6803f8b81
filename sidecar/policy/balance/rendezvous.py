"""`prefix`: the same start of a prompt goes to the same endpoint, whichever sidecar sends it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from heapq import nsmallest
from math import log
from typing import Final

from sidecar.policy.balance.base import BalanceSettings, Random, Weights
from sidecar.policy.balance.hashing import Bound, stable_hash
from sidecar.policy.load import Load

_SLOTS: Final = 4096
_SLOTS_EACH: Final = 64
"""Slots for each of many members: what a slot is too coarse for differs by an eighth."""
_CHOICES: Final = 16
"""How many choices of a slot are kept; when all are full, the first takes the call."""
_MASK: Final = 2**64 - 1
_MIX: Final = 0x9E3779B97F4A7C15
_MIX_AGAIN: Final = 0xBF58476D1CE4E5B9
"""Multipliers of splitmix64 (Steele, Lea, Flood, OOPSLA 2014)."""


class Rendezvous:
    """Weighted rendezvous hashing (Thaler, Ravishankar, 1998; Schindelhauer, Schomaker, 2005).

    Each member has a score for each key, and the highest takes it: all who know the same members
    agree, with no state between them, and a member that goes leaves everybody else's keys alone.
    Keys fall into slots, whose ranking is worked out once: a pick is then one look-up, however many
    members there are.
    """

    def __init__(self, settings: BalanceSettings) -> None:
        self._weights = Weights(settings.slow_start)
        self._bound = Bound(settings.overload)
        self._members: Sequence[Load] = ()
        self._seeds: list[int] = []
        self._slots = _SLOTS
        self._ranked: dict[int, list[Load]] = {}

    def update(self, members: Sequence[Load], now: float) -> None:
        """Take the members; slots are ranked when a key first falls into one."""
        self._members = members
        self._seeds = [stable_hash(member.name.encode()) for member in members]
        self._bound.update(sum(member.weight for member in members))
        self._slots = max(_SLOTS, 1 << (_SLOTS_EACH * len(members) - 1).bit_length())
        self._ranked = {}

    def pick(self, key: int, now: float, random: Random, avoid: Collection[Load] = ()) -> Load:
        """The key's first choice that is not full; when all are, its first."""
        slot = key % self._slots
        ranked = self._ranked.get(slot)
        if ranked is None:
            ranked = self._ranked[slot] = self._rank(slot)
        fallback: Load | None = None
        for member in ranked:
            if member not in avoid:
                if self._bound.admits(member, self._weights.ramp(member, now)):
                    return member
                fallback = fallback or member
        if fallback is not None:
            return fallback
        return next((member for member in self._members if member not in avoid), ranked[0])

    def _rank(self, slot: int) -> list[Load]:
        members = self._members
        scored = [
            (-log(_uniform(seed, slot)) / member.weight, number)
            for number, (seed, member) in enumerate(zip(self._seeds, members, strict=True))
        ]
        return [members[number] for _, number in nsmallest(_CHOICES, scored)]


def _uniform(seed: int, slot: int) -> float:
    """A number in (0, 1) that depends on every bit of both."""
    mixed = ((seed ^ (slot * _MIX)) * _MIX_AGAIN) & _MASK
    mixed = ((mixed ^ (mixed >> 29)) * _MIX) & _MASK
    return ((mixed ^ (mixed >> 32)) + 1) / (_MASK + 2)
