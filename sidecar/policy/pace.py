"""How fast calls may go to a provider, so that all who share its quota use it and do not exceed it.

A provider's limit is a bucket that refills continuously, and each of its replies tells how full
that is. All who share it see the same number, and all take the same pace from it: fast while the
bucket is full, exponentially slower as it empties. Where they together use what is refilled, the
bucket's level stands still, and each has the same share, though nobody knows how many they are.
Those who want less leave the rest to the others, since the bucket is then fuller. (A price that all
see and that grows with the load: F. Kelly, "Charging and rate control for elastic traffic", 1997.)

A refusal (429) halves the pace; it then grows back by a constant amount a second: additive
increase, multiplicative decrease (Chiu and Jain, 1989). Where replies tell no level, that is all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from sidecar.policy.aimd import Aimd
from sidecar.policy.fixed_window import WINDOW as _WINDOW
from sidecar.policy.fixed_window import FixedWindow

_STEEP: Final = 8.0
"""Between a full bucket and an empty one, the pace falls by e to this power."""
_DRIFT: Final = 0.5
"""Share of the refill that is assumed to stay in the bucket while no reply tells its level."""
_BURST: Final = 3.0
"""Seconds' worth of the pace that may go at once after a pause."""
_HALF: Final = 0.5
_GROWTH: Final = 1 / 30
"""Of the full pace, a second, after a refusal."""
_SLOW_GROWTH: Final = 1 / 300
"""The same after one that says that the calls grew too fast."""
_LEAST: Final = 1 / 64
_HEADROOM: Final = 1.25
"""What calls may grow by until a store is asked again, where sidecars share a pace."""
_SOON_DONE: Final = 2.0
"""Seconds in which those that wait want to go."""
_SOON: Final = 1e-6
"""Seconds that nobody waits for."""
_A: Final = _STEEP * _DRIFT / _WINDOW
"""Growth of the pace a second, relative, while no reply tells the level."""


class Bucket:
    """One kind of a quota: requests, or tokens."""

    __slots__ = ("_at", "_debt", "_fill", "_seen", "_sent", "_window", "limit")

    def __init__(self, limit: float, now: float) -> None:
        self.limit = limit
        self._fill = 1.0
        """Its level as a share of the limit, as far as known; own calls since are taken off."""
        self._debt = 0.0
        """What was sent and not yet paced out."""
        self._at = now
        self._sent = 0.0
        """All that was ever sent, to know what a reply can't know of."""
        self._seen = -1.0
        """`_sent` when the call went whose reply told the level."""
        self._window = FixedWindow()

    def rate(self) -> float:
        """Return the pace a second, now."""
        return self._most(1.0) * math.exp(-_STEEP * (1.0 - self._fill))

    @property
    def full(self) -> bool:
        """Whether it is as a new one."""
        return self._fill >= 1.0 and not self._debt

    def told(self, limit: float, remaining: float, mark: float, reset: float | None) -> None:
        """A reply told the level, at the time of `pass_time`. *mark*: see `sent`."""
        if mark < self._seen:
            return  # a later call's reply was here before
        self._seen, self.limit = mark, limit
        fill = min(1.0, max(0.0, (remaining - (self._sent - mark)) / limit))
        self._fill = fill if reset is None else self._window.level(fill, reset, self._at)

    def pass_time(self, now: float, eased: float) -> None:
        """Pay the debt off at the pace, which grows with the level."""
        passed, self._at = now - self._at, now
        if passed <= 0:
            return
        rate = self.rate() * eased
        till_full = (1.0 - self._fill) * _WINDOW / _DRIFT
        growing = min(passed, till_full)
        paid = rate * math.expm1(_A * growing) / _A
        paid += (passed - growing) * self._most(eased)
        self._debt = max(0.0, self._debt - paid)
        self._fill = min(1.0, self._fill + growing * _DRIFT / _WINDOW)

    def wait(self, eased: float) -> float:
        """Return the seconds until a call may go, at the time of `pass_time`.

        It may go a little sooner, as what may go at once grows with the pace.
        """
        rate = self.rate() * eased
        over = self._debt - _BURST * rate
        if over <= 0:
            return 0.0
        till_full = (1.0 - self._fill) * _WINDOW / _DRIFT
        wait = math.log1p(_A * over / rate) / _A
        if wait <= till_full:
            return wait
        return till_full + (over - rate * math.expm1(_A * till_full) / _A) / self._most(eased)

    def _most(self, eased: float) -> float:
        return self.limit / _WINDOW * self._window.speed * eased

    def sent(self, cost: float) -> float:
        """A call of *cost* goes. Return a mark for what its reply tells."""
        self._debt += cost
        self._sent += cost
        self._fill = max(0.0, self._fill - cost / self.limit)
        return self._sent


class Going(NamedTuple):
    """A call that goes: what is known of it when its reply comes."""

    marks: Mapping[str, float]


class Waiting:
    """A call that waits for its turn, or has got it (`going`)."""

    __slots__ = ("costs", "going", "wake")

    def __init__(self, costs: Mapping[str, float]) -> None:
        self.costs = costs
        self.going: Going | None = None
        self.wake: Callable[[], None] | None = None
        """Called once, when it may go. It must not raise."""


class Pace:
    """The pace of the calls for one quota. They go in the order in which they came."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}
        self._blind = Aimd()
        """While no reply has told a level."""
        self._line: dict[Waiting, None] = {}
        self._eased = 1.0
        """What refusals have left of the pace: up to 1."""
        self._growth = _GROWTH
        self._at = 0.0
        self._blocked = 0.0
        """Until when no call goes, since the provider said so."""

    def __repr__(self) -> str:
        return f"<Pace {self._eased:.2f}, {len(self._line)} waiting>"

    @property
    def waiting(self) -> int:
        """Number of calls that wait."""
        return len(self._line)

    @property
    def eased(self) -> float:
        """What refusals have left of the pace: 1 is all of it."""
        return self._eased

    def rates(self) -> dict[str, float]:
        """Return the pace of each kind, a second."""
        rates = {kind: bucket.rate() * self._eased for kind, bucket in self._buckets.items()}
        if not rates and self._blind.rate is not None:
            rates["requests"] = self._blind.rate
        return rates

    def enter(self, costs: Mapping[str, float], now: float) -> Waiting:
        """Let a call go, or have it wait. *costs* are by kind; kinds nobody limits don't matter."""
        call = Waiting(costs)
        self._line[call] = None
        self.advance(now)
        return call

    def leave(self, call: Waiting) -> None:
        """A call waits no longer. Nobody's turn comes sooner for that."""
        self._line.pop(call, None)

    def room(self, now: float) -> bool:
        """Whether a call that came now would go at once."""
        return self.advance(now) is None and self.wait(now) <= _SOON

    def advance(self, now: float) -> float | None:
        """Let calls go whose turn it is. Return the seconds until the next; None: nobody waits."""
        self._pass_time(now)
        while self._line:
            wait = self.wait(now)
            if wait > _SOON:
                return wait
            call = next(iter(self._line))
            del self._line[call]
            self._go(call)
            if call.wake is not None:
                call.wake()
        return None

    def wait(self, now: float) -> float:
        """Return the seconds until the next call may go, at the time of the last `advance`."""
        waits = [bucket.wait(self._eased) for bucket in self._buckets.values()]
        if not waits:
            waits.append(self._blind.wait())
        return max([self._blocked - now, 0.0, *waits])

    def told(
        self,
        going: Going,
        kind: str,
        limit: float,
        remaining: float,
        now: float,
        reset: float | None = None,
    ) -> None:
        """The reply to a call told how full a bucket was when the call came. *limit* is over 0.

        *reset*: the seconds until it is full; None: unknown.
        """
        self._pass_time(now)
        bucket = self._buckets.get(kind)
        if bucket is None:
            bucket = self._buckets[kind] = Bucket(limit, now)
        bucket.told(limit, remaining, going.marks.get(kind, 0.0), reset)

    def refused(self, after: float, *, too_fast: bool, now: float) -> None:
        """The provider refused a call, and wants none for *after* seconds.

        Refusals within that time tell nothing new. *too_fast*: the calls grew too fast.
        """
        self._pass_time(now)
        if now >= self._blocked:
            if self._buckets:
                self._eased = max(_LEAST, self._eased * _HALF)
            else:
                self._blind.refused(too_fast=too_fast)
        self._growth = _SLOW_GROWTH if too_fast else self._growth
        self._blocked = max(self._blocked, now + after)

    def demand(self, now: float) -> tuple[float, float]:
        """Return the calls a second that go, and those that would go without a pace."""
        self._pass_time(now)
        sent = self._blind.recent
        return sent, sent * _HEADROOM + self.waiting / _SOON_DONE

    def share(self, rate: float | None, stop: float, until: float, now: float) -> None:
        """Go by what sidecars have found together: *rate* calls a second, where replies tell no
        levels; None: any number. No call goes for *stop* seconds. It holds until *until*."""
        self._pass_time(now)
        self._blind.give(rate, until)
        self._blocked = max(self._blocked, now + stop)

    def idle(self, now: float) -> bool:
        """Whether it has nothing to remember."""
        self._pass_time(now)
        settled = self._eased >= 1.0 and now >= self._blocked and self._blind.rate is None
        return settled and not self._line and all(b.full for b in self._buckets.values())

    def _go(self, call: Waiting) -> None:
        marks = {
            kind: bucket.sent(call.costs.get(kind, 0.0)) for kind, bucket in self._buckets.items()
        }
        if not marks:
            self._blind.sent()
        call.going = Going(marks)

    def _pass_time(self, now: float) -> None:
        for bucket in self._buckets.values():
            bucket.pass_time(now, self._eased)
        self._blind.pass_time(now)
        self._eased = min(1.0, self._eased + max(0.0, now - self._at) * self._growth)
        self._at = now
        if self._eased >= 1.0:
            self._growth = _GROWTH
