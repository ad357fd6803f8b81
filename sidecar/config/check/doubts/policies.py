"""Doubts about policies: settings that another one keeps from having any effect.

A setting may hold for many routes and upstreams. It is doubtful only if it is so at all of them: a
default that one route overrules is as it should be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from msgspec import UNSET

from sidecar.config.check.doubts.whole import Whole, origin
from sidecar.config.model.policy import Policy
from sidecar.config.problems import Path, Problem

_TOO_SOON: Final = 0.05
"""Seconds within which hardly a model answers, not even one of embeddings nearby."""
_SAME_AGAIN: Final = ("400", "401", "403", "404", "405", "413", "415", "422", "4xx")
"""Statuses that a call gets for what it is, and would get again."""


class _Doubt(NamedTuple):
    keys: Path
    """Of the setting, in a policy."""
    message: str
    within: Path = ()
    """Where in the setting."""


class _Place(NamedTuple):
    """A route at an upstream."""

    route: int
    upstream: str


def of_policies(whole: Whole) -> Iterator[Problem]:
    """Find what is doubtful about the policy of each route at each of its upstreams."""
    places = [_Place(*place) for place in whole.effective]
    origins: dict[Path, list[Path | None]] = {}
    """By keys: where they are written, for each place."""
    found = Counter[tuple[Path, _Doubt]]()
    for number, place in enumerate(places):
        for doubt in _doubts(whole, place):
            if doubt.keys not in origins:
                keys = tuple(map(str, doubt.keys))
                origins[doubt.keys] = [origin(whole, *each, *keys) for each in places]
            path = origins[doubt.keys][number]
            if path is not None:
                found[path, doubt] += 1
    used = {keys: Counter(paths) for keys, paths in origins.items()}
    for (path, doubt), times in found.items():
        if times == used[doubt.keys][path]:
            yield Problem((*path, *doubt.within), doubt.message)


def _doubts(whole: Whole, place: _Place) -> Iterator[_Doubt]:
    policy = whole.effective[place].policy
    yield from _timers(policy)
    yield from _hedge(policy)
    if not any(listener.trust.headers for listener in whole.config.listeners):
        yield from _idle_retries(policy, whole, place)
    if policy.retry.max:
        yield from _retries(policy)
    yield from _others(policy)
    route = whole.config.routes[place.route]
    tokens = policy.limits.tokens
    if tokens is not None and tokens.when_exceeded == "fallback" and not route.fallback:
        told = "a route with this policy has no `fallback`, so that its calls get 429: give it one"
        yield _Doubt(("limits", "tokens", "when_exceeded"), told)
    if policy.priority != "normal" and whole.config.upstreams[place.upstream].admission is None:
        told = "has no effect: there is no queue, as its upstreams have no `admission`"
        yield _Doubt(("priority",), told)


def _timers(policy: Policy) -> Iterator[_Doubt]:
    timeouts = policy.timeouts
    total = timeouts.total
    first_byte = None if timeouts.first_byte is UNSET else timeouts.first_byte
    timers = {"first_byte": first_byte, "idle": timeouts.idle, "connect": timeouts.connect}
    for key, timer in timers.items():
        if total is not None and timer is not None and timer > total:
            told = "has no effect: `total` ends the call before. Raise `total`, or lower this"
            yield _Doubt(("timeouts", key), told)
    for key, timer in (("first_byte", first_byte), ("idle", timeouts.idle), ("total", total)):
        if timer is not None and timer < _TOO_SOON:
            told = "hardly any model answers within 50 ms: is the unit right? `30s` is 30 seconds"
            yield _Doubt(("timeouts", key), told)


def _hedge(policy: Policy) -> Iterator[_Doubt]:
    hedge, ends = policy.hedge, _ends(policy)
    if hedge is None:
        return
    if hedge.after is not None and ends is not None and hedge.after >= ends:
        told = "no hedge is ever sent: `timeouts` end the attempt before. Lower it"
        yield _Doubt(("hedge", "after"), told)
    if not hedge.budget.ratio and not hedge.budget.min_per_second:
        yield _Doubt(("hedge", "budget"), "allows no hedge: leave `hedge` out, or allow some")


def _idle_retries(policy: Policy, whole: Whole, place: _Place) -> Iterator[_Doubt]:
    """Find settings of retries beside a `max` of 0."""
    path = None if policy.retry.max else origin(whole, *place, "retry")
    tree: Any = whole.written
    for step in path or ():
        tree = tree[step]
    if path is not None and isinstance(tree, dict) and tree.get("max") == 0:
        for key in tree.keys() - {"max"}:
            told = "has no effect: `max` is 0, which makes no retries. Raise it, or remove this"
            yield _Doubt(("retry",), told, (key,))


def _retries(policy: Policy) -> Iterator[_Doubt]:
    retry, total = policy.retry, policy.timeouts.total
    for number, word in enumerate(retry.on):
        if word in _SAME_AGAIN:
            told = (
                "calls get this status for what they are, and would get it again: leave it out. "
                "Where another upstream may take them, say so in `fallback_on`"
            )
            yield _Doubt(("retry", "on"), told, (number,))
    if not retry.budget.ratio and not retry.budget.min_per_second:
        yield _Doubt(("retry", "budget"), "allows no retry: say `max: 0`, or allow some")
    if total is not None and retry.backoff.base >= total:
        told = "`total` ends the call before such a wait has passed: shorten it"
        yield _Doubt(("retry", "backoff", "base"), told)


def _others(policy: Policy) -> Iterator[_Doubt]:
    breaker, ends = policy.breaker, _ends(policy)
    slow = None if breaker is None else breaker.slow_after
    if slow is not None and ends is not None and slow >= ends:
        told = "no call is slow: `timeouts` end it before. Lower it"
        yield _Doubt(("breaker", "slow_after"), told)
    if not policy.read:
        told = "has no effect with `read: false`: remove one of them"
        yield _Doubt(("gate",), told)


def _ends(policy: Policy) -> float | None:
    """Return the seconds after which an attempt without a byte ends, if that is set."""
    timeouts = policy.timeouts
    given = [timer for timer in (timeouts.first_byte, timeouts.total) if isinstance(timer, float)]
    return min(given, default=None)
