"""A provider with one quota, and sidecars that share it without talking. No clock, no sockets."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from sidecar.policy.pace import Going, Pace

PHASE = 120.0
"""Seconds after which every sidecar wants something else."""
TOKENS = 1500.0
"""What a call is estimated at; it really takes 1200, within a factor of two or so."""
Costs = dict[str, float]
Told = dict[str, tuple[float, float, float]]
"""By kind: the limit, what remains of it, and the seconds until it is full."""


class Provider:
    """Buckets of requests and tokens, which refill continuously."""

    def __init__(self, limits: Costs) -> None:
        self.limits = limits
        self.levels = dict(limits)
        self.used = dict.fromkeys(limits, 0.0)
        self._at = 0.0

    def take(self, now: float, cost: Costs) -> bool:
        for kind, limit in self.limits.items():
            refilled = self.levels[kind] + (now - self._at) * limit / 60
            self.levels[kind] = min(limit, refilled)
        self._at = now
        if any(self.levels[kind] < cost[kind] for kind in self.limits):
            return False
        for kind in self.limits:
            self.levels[kind] -= cost[kind]
            self.used[kind] += cost[kind]
        return True

    def tell(self, now: float) -> Told:
        """What a reply to a call of *now* tells."""
        return {
            kind: (limit, self.levels[kind], (1 - self.levels[kind] / limit) * 60)
            for kind, limit in self.limits.items()
        }

    def after(self, now: float, chance: random.Random) -> float:
        """What a refusal says to wait, in seconds."""
        return chance.uniform(0.5, 2.0)

    @property
    def share(self) -> float:
        """Of what is refilled in a minute, in the bucket that is used most."""
        return max(self.used[kind] / limit for kind, limit in self.limits.items())


class Windowed(Provider):
    """Fills its buckets at once, at each full minute."""

    def take(self, now: float, cost: Costs) -> bool:
        if now // 60 > self._at // 60:
            self.levels = dict(self.limits)
        self._at = now
        return super().take(now, cost)

    def tell(self, now: float) -> Told:
        left = 60 - now % 60
        return {kind: (limit, self.levels[kind], left) for kind, limit in self.limits.items()}

    def after(self, now: float, chance: random.Random) -> float:
        return math.ceil(60 - now % 60)


class Client(Protocol):
    """How a sidecar goes about a quota."""

    def next(self, now: float) -> tuple[Going | None, float]:
        """A call that goes now; or the seconds until one may."""

    def answered(self, going: Going, told: Told, now: float) -> None:
        """A call was answered with what the provider *told* when it came."""

    def refused(self, after: float, now: float) -> None:
        """A call was refused."""


class Paced:
    """As the sidecar does."""

    def __init__(self) -> None:
        self.pace = Pace()

    def next(self, now: float) -> tuple[Going | None, float]:
        call = self.pace.enter({"requests": 1.0, "tokens": TOKENS}, now)
        if call.going is not None:
            return call.going, 0.0
        after = self.pace.wait(now)
        self.pace.leave(call)
        return None, after

    def answered(self, going: Going, told: Told, now: float) -> None:
        for kind, (limit, remaining, reset) in told.items():
            self.pace.told(going, kind, limit, remaining, now, reset)

    def refused(self, after: float, now: float) -> None:
        self.pace.refused(after, too_fast=False, now=now)


class Deaf(Paced):
    """As the sidecar does where replies tell no levels."""

    def answered(self, going: Going, told: Told, now: float) -> None:
        pass


class Alone:
    """As an SDK does by itself: it waits as it is told after a refusal, and nothing else."""

    def __init__(self) -> None:
        self.until = 0.0

    def next(self, now: float) -> tuple[Going | None, float]:
        return (Going({}), 0.0) if now >= self.until else (None, self.until - now)

    def answered(self, going: Going, told: Told, now: float) -> None:
        pass

    def refused(self, after: float, now: float) -> None:
        self.until = max(self.until, now + after)


class Divided:
    """As with a local rate limit (Envoy's, for one): each has its part of the quota, for ever."""

    def __init__(self, rate: float = 600 / 60 / 50) -> None:
        self.rate = rate
        self.until = 0.0

    def next(self, now: float) -> tuple[Going | None, float]:
        if now < self.until:
            return None, self.until - now
        self.until = max(self.until, now - 1 / self.rate) + 1 / self.rate
        return Going({}), 0.0

    def answered(self, going: Going, told: Told, now: float) -> None:
        pass

    def refused(self, after: float, now: float) -> None:
        self.until = max(self.until, now + after)


@dataclass
class Side:
    client: Client
    wants: float = 0.0
    """Calls a second."""
    line: list[Costs] = field(default_factory=list)
    timer: int = 0
    got: int = 0
    """Calls that were answered in this phase."""
    asked: int = 0
    """Calls that came in this phase, or waited when it began."""


class Result(NamedTuple):
    share: float
    """Of what the most used bucket refills, after the first phases."""
    refused: float
    """Share of the calls that got 429, after them."""
    fairness: float
    """Jain's index of the worst phase after them: what each got of its max-min fair share."""
    mean: float
    """The same of all these phases."""


class Fleet:
    """Sidecars that want half as much again as there is; one of them wants twice the quota."""

    def __init__(
        self,
        seed: int,
        make: Callable[[], Client],
        sides: int,
        limits: Costs,
        latency: float,
        provider: Callable[[Costs], Provider] = Provider,
    ) -> None:
        self.chance = random.Random(seed)
        self.provider = provider(limits)
        self.sides = [Side(make()) for _ in range(sides)]
        self.latency = latency
        self.calls = self.refusals = 0
        self.fairness: list[float] = []
        self.answers: list[float] = []
        """When calls went that were answered."""
        self.rejections: list[float] = []
        """When calls went that were refused."""
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._count = 0

    def run(self, phases: int, settle: int = 1) -> Result:
        """*settle*: so many phases at first are not counted."""
        for side in self.sides:
            self.at(self.chance.random(), lambda now, side=side: self.comes(side, now))  # type: ignore[misc]
        before = 0.0
        for number in range(phases):
            self.begin()
            end = (number + 1) * PHASE
            while self._events[0][0] < end:
                now, _, what = heapq.heappop(self._events)
                what(now)
            if number == settle - 1:
                before, self.calls, self.refusals = self.provider.share, 0, 0
            elif number >= settle:
                self.fairness.append(jain(self.sides))
        share = (self.provider.share - before) / ((phases - settle) * PHASE / 60)
        mean = sum(self.fairness) / len(self.fairness)
        return Result(share, self.refusals / self.calls, min(self.fairness), mean)

    def begin(self) -> None:
        """Everyone wants something else from now on."""
        whole = self.provider.limits["requests"] / 60
        for side in self.sides:
            share = self.chance.choice([0.1, 0.5, 1, 2, 3])
            side.wants = 1.5 * whole / len(self.sides) * share
            side.got, side.asked = 0, len(side.line)
        self.sides[0].wants = 2 * whole

    def at(self, when: float, what: Callable[[float], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (when, self._count, what))

    def comes(self, side: Side, now: float) -> None:
        if len(side.line) < max(2.0, side.wants * 20):
            side.asked += 1
            tokens = self.chance.lognormvariate(math.log(1200), 0.6)
            side.line.append({"requests": 1.0, "tokens": tokens})
        self.at(now + self.chance.expovariate(side.wants), lambda now: self.comes(side, now))
        self.go(side, now)

    def go(self, side: Side, now: float) -> None:
        side.timer = timer = side.timer + 1
        while side.line:
            going, after = side.client.next(now)
            if going is None:
                again = now + after + 1e-6
                self.at(again, lambda now: self.go(side, now) if side.timer == timer else None)
                return
            self.send(side, going, side.line.pop(0), now)

    def send(self, side: Side, going: Going, cost: Costs, now: float) -> None:
        self.calls += 1
        if self.provider.take(now, cost):
            side.got += 1
            self.answers.append(now)
            told = self.provider.tell(now)
            took = self.chance.lognormvariate(math.log(self.latency), 0.5)
            self.at(now + took, lambda now: self.answered(side, going, told, now))
        else:
            self.refusals += 1
            self.rejections.append(now)
            self.at(now + 0.1, lambda now: self.refused(side, cost, now))

    def answered(self, side: Side, going: Going, told: Told, now: float) -> None:
        side.client.answered(going, told, now)
        self.go(side, now)

    def refused(self, side: Side, cost: Costs, now: float) -> None:
        side.client.refused(self.provider.after(now, self.chance), now)
        side.line.insert(0, cost)
        self.go(side, now)


class Counted(Protocol):
    """A client's calls: how many came, and how many were answered."""

    asked: int
    got: int


def jain(sides: Sequence[Counted]) -> float:
    """Jain's index of what each got, as a share of what is fair: the least demand is met first."""
    left, parts = float(sum(side.got for side in sides)), list[float]()
    for index, side in enumerate(sorted(sides, key=lambda side: side.asked)):
        fair = min(side.asked, left / (len(sides) - index))
        left -= fair
        if fair:
            parts.append(side.got / fair)
    return sum(parts) ** 2 / (len(parts) * sum(part * part for part in parts))
