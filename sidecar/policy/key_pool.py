"""Several keys of one upstream: which of them the next attempt uses, and which must rest or leave.

A key that is rate-limited cools down for the model that was asked, and with it the keys of the same
quota. One that is refused leaves until its value changes or an operator takes it back. When no key
is in use, calls go on with the one that is most likely to work, so that an account that has been
filled up, or a limit that has been raised, is found without a reload.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from math import inf, log
from typing import Final, Literal, NamedTuple

from sidecar.policy.balance import stable_hash
from sidecar.policy.balance.rendezvous import uniform

State = Literal["in_use", "cooling", "restricted", "refused"]

UNNAMED: Final = 0.5
"""Seconds of a rate limit that names no time: the first wait of the SDKs. It doubles each time."""
LONGEST_UNNAMED: Final = 60.0
DAILY: Final = 600.0
"""Seconds of a daily limit that names no time: the limit may be raised, or be over at midnight."""
LONGEST: Final = 86_400.0
"""Seconds, at most, of a rate limit that names its time."""
MOST_MODELS: Final = 256
"""Callers may name any model: so many of them are remembered for a key."""
_LONGEST_MODEL: Final = 128
_SHOWN: Final = 4
"""Characters of a key that operators see."""
_LEAST: Final = 16
"""Characters of a key of which any are shown: of a shorter one, four would say too much."""


class KeySettings(NamedTuple):
    """A key, as it is configured."""

    name: str
    value: str
    """Identifies the key over reloads: another value is another key. Never shown."""
    edits: Mapping[bytes, bytes]
    """The changes of a request's header that this key makes."""
    quota: str | None = None
    """Keys of one quota are rate-limited together; None: the key has its own."""
    weight: int = 1

    def __repr__(self) -> str:
        return f"<KeySettings {self.name}>"


class _Limit:
    """A rate limit of one quota for one model."""

    __slots__ = ("began", "strikes", "until")

    def __init__(self) -> None:
        self.began = -inf
        self.until = -inf
        self.strikes = 0
        """How often in a row it named no time."""


class Key:
    """A key and what is known of it. Times are monotonic seconds."""

    def __init__(self, settings: KeySettings) -> None:
        self.settings = settings
        self.refused = ""
        """Why it has left; "" while it has not."""
        self.refused_at = -inf
        self.forbidden: dict[str, float] = {}
        """By model that it may not use: when that was said, oldest first."""
        self.limits: dict[str, _Limit] = {}
        """By model. Keys of one quota have them in common."""
        self.calls: dict[str, int] = {}
        """Attempts by result: ok, rate_limit, authentication, money, other, failed, given_up."""
        self.cooldowns = 0
        self._seed = stable_hash(settings.value.encode("utf-8", "surrogatepass"))

    def __repr__(self) -> str:
        return f"<Key {self.name}>"

    @property
    def name(self) -> str:
        """Its name in metrics, in the log and for operators."""
        return self.settings.name

    def state(self, now: float) -> State:
        """Return its state; `restricted`: it is refused for some models only."""
        if self.refused:
            return "refused"
        if self.cooling(now):
            return "cooling"
        return "restricted" if self.forbidden else "in_use"

    def cooling(self, now: float) -> dict[str, float]:
        """Return the models for which it cools down, with the seconds that are left."""
        limits = self.limits.copy()
        return {model: of.until - now for model, of in limits.items() if of.until > now}

    def shown(self, now: float) -> dict[str, object]:
        """Return what an operator may see of it."""
        settings = self.settings
        return {
            "name": settings.name,
            "ends": ending(settings.value),
            "quota": settings.quota,
            "weight": settings.weight,
            "state": self.state(now),
            "refused": self.refused or None,
            "refused_s": round(now - self.refused_at, 1) if self.refused else None,
            "forbidden_models": list(self.forbidden),
            "cooling_s": {model: round(left, 1) for model, left in self.cooling(now).items()},
            "attempts": self.calls.copy(),
            "cooldowns": self.cooldowns,
        }

    def count(self, result: str) -> None:
        """Count an attempt by its *result*."""
        self.calls[result] = self.calls.get(result, 0) + 1

    def rank(self, point: int) -> float:
        """Return its rank for *point*, a random number or a hash; the lowest of all is chosen.

        Weighted rendezvous hashing: each key is first for its part of all points, and a key that
        leaves moves no other key's points.
        """
        return -log(uniform(self._seed ^ point)) / self.settings.weight


class KeyPool:
    """The keys of one upstream. It has no clock: *now* is in monotonic seconds."""

    def __init__(self, settings: Iterable[KeySettings]) -> None:
        self.keys: Sequence[Key] = ()
        self.configure(settings)

    def __repr__(self) -> str:
        return f"<KeyPool of {len(self.keys)} keys>"

    def configure(self, settings: Iterable[KeySettings]) -> None:
        """Have these keys. One whose value is known keeps its state; any other is new."""
        known = {key.settings.value: key for key in self.keys}
        counted = {key.name: key for key in self.keys}
        quotas = {key.settings.quota: key.limits for key in self.keys if key.settings.quota}
        keys = []
        for each in settings:
            key = known.get(each.value)
            if key is None:
                key = Key(each)
                if each.name in counted:  # counters of one name never go back
                    key.calls = counted[each.name].calls.copy()
                    key.cooldowns = counted[each.name].cooldowns
            if each.quota is not None:
                key.limits = quotas.setdefault(each.quota, {})
            elif key.settings.quota is not None:
                key.limits = {}
            key.settings = each
            keys.append(key)
        self.keys = tuple(keys)

    def choose(self, point: int, model: str, now: float, tried: Collection[Key] = ()) -> Key | None:
        """Return the key for an attempt that asks for *model*; None if *tried* has all that help.

        Calls with the same *point* get the same key as long as they can. The first attempt of a
        call always gets a key: when none is in use, the one that cools down for the shortest time,
        or else the one that was refused first.
        """
        model = model[:_LONGEST_MODEL]
        free = [
            key for key in self.keys if key not in tried and _available_at(key, model, now) <= now
        ]
        if free:
            return free[0] if len(free) == 1 else min(free, key=lambda key: key.rank(point))
        return None if tried else min(self.keys, key=lambda key: _last_choice(key, model, now))

    def candidates(
        self, point: int, model: str, now: float, tried: Collection[Key], soon: float
    ) -> Sequence[Key]:
        """Return all keys that `choose` would choose among, the first choice first.

        For the first attempt of a call, keys that cool down for less than *soon* seconds are
        among them: the call may wait for any of these.
        """
        model = model[:_LONGEST_MODEL]
        until = now if tried else now + soon
        free = [
            key for key in self.keys if key not in tried and _available_at(key, model, now) <= until
        ]
        if not free and not tried:
            free = [min(self.keys, key=lambda key: _last_choice(key, model, now))]
        return sorted(free, key=lambda key: key.rank(point))

    def named(self, name: str) -> Key | None:
        """Return the key called *name*, whatever its state; None if there is none."""
        return next((key for key in self.keys if key.name == name), None)

    def limited(
        self, key: Key, model: str, seconds: float | None, began: float, now: float
    ) -> float:
        """An attempt that *began* then was rate-limited. Return for how long the key cools down.

        *seconds*: what the provider asks for; None: it names no time.
        """
        model = model[:_LONGEST_MODEL]
        limit = key.limits.get(model)
        if limit is None:
            _make_room(key.limits, now)
            limit = key.limits[model] = _Limit()
        if seconds is not None:
            seconds, limit.strikes = min(max(seconds, UNNAMED), LONGEST), 0
        elif began < limit.began:  # sent before the limit was known: no news
            return max(limit.until - now, 0.0)
        else:
            seconds = min(UNNAMED * 2.0 ** min(limit.strikes, 10), LONGEST_UNNAMED)
            limit.strikes += 1
        if limit.until <= now:
            key.cooldowns += 1
        limit.began, limit.until = now, max(limit.until, now + seconds)
        return limit.until - now

    def refuse(self, key: Key, why: str, now: float) -> bool:
        """Take *key* out of use for every model. Return whether that is new."""
        new = not key.refused
        key.refused, key.refused_at = why, now
        return new

    def forbid(self, key: Key, model: str, now: float) -> bool:
        """The same for one *model*: the key's project may lack it, and not others."""
        model = model[:_LONGEST_MODEL]
        new = key.forbidden.pop(model, None) is None
        if len(key.forbidden) >= MOST_MODELS:
            del key.forbidden[next(iter(key.forbidden))]
        key.forbidden[model] = now
        return new

    def worked(self, key: Key, model: str, began: float) -> bool:
        """An attempt that *began* then was answered. Return whether that brings the key back."""
        if not (key.refused or key.forbidden or key.limits):  # nearly always
            return False
        model = model[:_LONGEST_MODEL]
        limit = key.limits.get(model)
        if limit is not None and began > limit.began:
            del key.limits[model]
        back = False
        if key.refused and began > key.refused_at:
            key.refused, back = "", True
        if model in key.forbidden and began > key.forbidden[model]:
            del key.forbidden[model]
            back = True
        return back

    def restore(self, name: str | None) -> int:
        """Use the key *name* again, or all (None), as if nothing had happened. Return how many."""
        count = 0
        for key in self.keys:
            if name is None or key.name == name:
                key.refused = ""
                key.forbidden.clear()
                key.limits.clear()
                count += 1
        return count

    def shown(self, now: float) -> list[dict[str, object]]:
        """Return what an operator may see of each key."""
        return [key.shown(now) for key in self.keys]


def ending(value: str) -> str:
    """Return the last four characters of a key behind an ellipsis; nothing of a short one.

    The scheme does not count: `Bearer` tells nothing.
    """
    secret = value.rpartition(" ")[2]
    return f"…{secret[-_SHOWN:]}" if len(secret) >= _LEAST else "…"


def _available_at(key: Key, model: str, now: float) -> float:
    """Return when the key may be used: not after *now* if it may be at once."""
    if key.refused or model in key.forbidden:
        return inf
    limit = key.limits.get(model)
    return -inf if limit is None else limit.until


def _last_choice(key: Key, model: str, now: float) -> tuple[float, float]:
    """Order keys of which none may be used: first those that cool down, the shortest first."""
    return _available_at(key, model, now), max(key.refused_at, key.forbidden.get(model, -inf))


def _make_room(limits: dict[str, _Limit], now: float) -> None:
    """Forget limits that are over, and then the oldest."""
    if len(limits) >= MOST_MODELS:
        for model in [model for model, of in limits.items() if of.until <= now]:
            del limits[model]
    if len(limits) >= MOST_MODELS:
        del limits[next(iter(limits))]
