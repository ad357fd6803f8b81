"""Members without sockets, a statistic, and endpoints that take their time in virtual time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from heapq import heappop, heappush
from math import sqrt
from typing import NamedTuple

from sidecar.policy.balance import Balancer, BalanceSettings, make
from sidecar.policy.load import Load, Total

METHODS = ["round_robin", "least_conn", "dynamic", "ip_hash", "prefix"]
HASHING = ["ip_hash", "prefix"]


def fleet(weights: Sequence[float], now: float = 0.0) -> list[Load]:
    total = Total()
    return [Load(f"http://h{number}", weight, now, total) for number, weight in enumerate(weights)]


def balancer(method: str, members: Sequence[Load], now: float = 0.0, **settings: float) -> Balancer:
    made = make(BalanceSettings(method, **settings))
    made.update(members, now)
    return made


class Picker:
    """Picks with keys and randomness of a fixed seed."""

    def __init__(self, balancer: Balancer, seed: int = 1) -> None:
        self.balancer = balancer
        self._random = random.Random(seed)

    def pick(self, now: float = 0.0, avoid: Collection[Load] = ()) -> Load:
        key = self._random.getrandbits(64)
        return self.balancer.pick(key, now, self._random.random, avoid)

    def counts(self, picks: int, now: float = 0.0, avoid: Collection[Load] = ()) -> Counter[Load]:
        return Counter(self.pick(now, avoid) for _ in range(picks))


def fits(counts: Sequence[int], shares: Sequence[float]) -> bool:
    """Pearson's chi-square, against its 99.99 % quantile (Wilson and Hilferty, 1931)."""
    whole, unit = sum(counts), sum(shares)
    expected = [whole * share / unit for share in shares]
    statistic = sum((o - e) ** 2 / e for o, e in zip(counts, expected, strict=True))
    part = 2 / (9 * (len(counts) - 1))
    return statistic < (len(counts) - 1) * (1 - part + 3.72 * sqrt(part)) ** 3


class Served(NamedTuple):
    """What came of a simulation."""

    counts: Counter[Load]
    mean: float
    """Seconds of a call."""


Behaviour = Callable[[Load, float, random.Random], tuple[float, bool]]
"""How long a member takes that is asked at that time, and whether it fails."""


def simulate(
    method: str,
    members: Sequence[Load],
    behaviour: Behaviour,
    rate: float = 50.0,
    seconds: float = 60.0,
    begin: float = 0.0,
    seed: int = 1,
    balancer_: Balancer | None = None,
) -> Served:
    """Calls come *rate* a second, at random; each takes as long as its member does."""
    picker = Picker(balancer_ or balancer(method, members, begin), seed)
    dice = random.Random(seed + 1)
    ends: list[tuple[float, int, Load, float, bool]] = []
    counts: Counter[Load] = Counter()
    spent, now, number = 0.0, begin, 0
    while now < begin + seconds:
        now += dice.expovariate(rate)
        while ends and ends[0][0] <= now:
            end(*heappop(ends))
        member = picker.pick(now)
        takes, failed = behaviour(member, now, dice)
        member.begin()
        number += 1
        heappush(ends, (now + takes, number, member, takes, failed))
        counts[member] += 1
        spent += takes
    while ends:
        end(*heappop(ends))
    return Served(counts, spent / number)


def end(now: float, _: int, member: Load, takes: float, failed: bool) -> None:
    member.observe(takes, failed, now, 10.0)
    member.end()
