"""Limits on calls: per second and in flight, also per client."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Final, Generic, Protocol, TypeVar

_ROUNDING: Final = 1e-9
"""Of a call. Without it, a caller that waited exactly as told might be refused again."""


class Rate:
    """The generic cell rate algorithm (GCRA): `per_second` calls, `burst` of them at once.

    Source: ATM Forum, Traffic Management Specification 4.1 (also ITU-T I.371), in its form as a
    leaky bucket used as a meter: each call pours 1 into a bucket of size `burst` that leaks
    `per_second`; what would overflow is refused. Unlike its twin, virtual scheduling, this keeps
    calls rather than times, so that what was used stays right when the rate changes.
    """

    __slots__ = ("_at", "_level", "burst", "per_second")

    def __init__(self, per_second: float, burst: int) -> None:
        """*per_second* is more than 0, *burst* at least 1."""
        self.per_second = per_second
        self.burst = burst
        self._level = 0.0
        self._at = 0.0

    def __repr__(self) -> str:
        return f"<Rate {self.per_second:g} a second>"

    def take(self, now: float) -> float:
        """Return 0.0 if the call may go; else refuse it and return the seconds until one may."""
        level = max(0.0, self._level - (now - self._at) * self.per_second)
        over = level + 1.0 - self.burst
        if over > _ROUNDING:
            return over / self.per_second
        self._level = level + 1.0
        self._at = now
        return 0.0

    def adjust(self, per_second: float, burst: int) -> None:
        """Use new settings from now on. What was used stays used, up to one burst."""
        self.per_second = per_second
        self.burst = burst
        self._level = min(self._level, burst)

    def idle(self, now: float) -> bool:
        """Whether a new one would decide the same."""
        return self._level <= (now - self._at) * self.per_second


class Concurrency:
    """At most `max` calls in flight. `max` may be replaced; calls in flight stay."""

    __slots__ = ("in_flight", "max")

    def __init__(self, max: int) -> None:
        self.max = max
        self.in_flight = 0

    def enter(self) -> bool:
        """Take a slot, if one is free; `release` gives it back."""
        if self.in_flight >= self.max:
            return False
        self.in_flight += 1
        return True

    def release(self) -> None:
        """Give a slot back."""
        self.in_flight -= 1

    def idle(self, now: float) -> bool:
        """Whether a new one would decide the same."""
        return not self.in_flight


class Limiter(Protocol):
    """The limiter of one client."""

    def idle(self, now: float) -> bool:
        """Whether it can be forgotten without letting a call pass that it would have refused."""


T = TypeVar("T", bound=Limiter)


class Keyed(Generic[T]):
    """A limiter for each key, at most `max_keys` of them. `make` and `max_keys` may be replaced.

    A new key beyond that replaces the idle one that was used least recently; only when
    none is idle, of the least recently used. A busy one is skipped once and then goes to the end,
    as in second-chance page replacement, so that few long calls don't cost every new key a search.
    When all are busy, each new key looks at all of them.
    """

    def __init__(self, make: Callable[[], T], max_keys: int) -> None:
        """*max_keys* is at least 1."""
        self.make = make
        self.max_keys = max_keys
        self._limiters: OrderedDict[Hashable, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._limiters)

    def get(self, key: Hashable, now: float) -> T:
        """Return the limiter of *key*."""
        limiters = self._limiters
        limiter = limiters.get(key)
        if limiter is None:
            while len(limiters) >= self.max_keys:
                self._evict(now)
            limiter = limiters[key] = self.make()
        else:
            limiters.move_to_end(key)
        return limiter

    def limiters(self) -> Iterable[T]:
        """Return all limiters, to adjust them at a reload."""
        return self._limiters.values()

    def _evict(self, now: float) -> None:
        limiters = self._limiters
        busy: list[Hashable] = []
        for key, limiter in limiters.items():
            if limiter.idle(now):
                break
            busy.append(key)
        else:
            key = busy.pop(0)
        del limiters[key]
        for key in busy:
            limiters.move_to_end(key)
