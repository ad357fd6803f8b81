"""The load balancer of one kind of calls: which endpoints are in rotation, and which is next.

State: `_ready` (the endpoints in rotation, by load) is worked out anew when something has changed
(`membership.generation`) or when an ejected endpoint may be tried again (`_recheck`). Between these
a pick looks only at the endpoints that the balancer compares. A load balancer belongs to a
snapshot; what it goes by (loads, breakers, health) belongs to the endpoints and outlives reloads.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from sidecar.errors import AttemptError
from sidecar.policy import balance
from sidecar.policy.ejection import EjectionSettings, rotation
from sidecar.upstream.lease import Lease

if TYPE_CHECKING:
    from sidecar.observe.stats import UpstreamStats
    from sidecar.policy.balance import BalanceSettings
    from sidecar.policy.breaker import Breaker
    from sidecar.policy.breaker_settings import BreakerSettings
    from sidecar.policy.homes import Stays
    from sidecar.policy.load import Load
    from sidecar.upstream.endpoints.endpoint import Endpoint
    from sidecar.upstream.endpoints.upstream import Upstream

_log: Final = logging.getLogger("sidecar.upstream")
_MAX_SUBSETS: Final = 64
"""Subsets that are remembered, of labels that callers asked for."""
_random: Final = random.Random().random

Labels = Mapping[str, str]


class Selection:
    """What one kind of calls asks of endpoints: breaker scope, balance and labels."""

    __slots__ = ("balance", "breaker", "ejection", "labels", "missing_is_any", "scope")

    def __init__(
        self,
        scope: str,
        breaker: BreakerSettings | None,
        ejection: EjectionSettings,
        balance: BalanceSettings,
        labels: Labels,
        missing_is_any: bool,
    ) -> None:
        self.scope = scope
        """Routes of one breaker scope share each endpoint's breaker."""
        self.breaker = breaker
        self.ejection = ejection
        self.balance = balance
        self.labels = labels
        self.missing_is_any = missing_is_any
        """Whether all endpoints may be picked where none has the labels."""


class LoadBalancer:
    """Picks endpoints of *upstream* as *selection* says."""

    def __init__(self, upstream: Upstream, selection: Selection, stats: UpstreamStats) -> None:
        self.upstream = upstream
        self.selection = selection
        self.panic = False
        """Whether every endpoint is ejected, so that all are tried: none is better than another."""
        self._stats = stats
        self._total = upstream.membership.total
        self._balancer = balance.make(selection.balance)
        self._ready: dict[Load, Endpoint] = {}
        self._only: Endpoint | None = None
        self._seen = -1
        self._recheck = float("inf")
        self._matching = 0
        self._turn = 0
        self._subsets: dict[tuple[tuple[str, str], ...], LoadBalancer] = {}

    def __repr__(self) -> str:
        method = self.selection.balance.method
        return f"<LoadBalancer {method} over {len(self._ready)} of {self.upstream.name}>"

    def subset(self, labels: Labels) -> LoadBalancer:
        """Return the load balancer of the subset of endpoints that have *labels* too."""
        key = tuple(sorted(labels.items()))
        found = self._subsets.get(key)
        if found is None:
            if len(self._subsets) >= _MAX_SUBSETS:
                self._subsets.clear()
            wanted = self.selection
            selection = Selection(
                wanted.scope,
                wanted.breaker,
                wanted.ejection,
                wanted.balance,
                {**wanted.labels, **labels},
                wanted.missing_is_any,
            )
            found = self._subsets[key] = LoadBalancer(self.upstream, selection, self._stats)
        return found

    def pick(
        self,
        key: int = 0,
        avoid: Collection[Load] = (),
        captured: Mapping[str, str] = {},
    ) -> Lease:
        """Choose an endpoint and lease it, in one step.

        *key* chooses where the balance is by affinity; *avoid* were tried before. Raise
        AttemptError when there is no endpoint.
        """
        now = time.monotonic()
        if self.upstream.templated:
            return self._lease_only(self._rendered(captured, avoid, now), now)
        if self._seen != self.upstream.membership.generation or now >= self._recheck:
            self._rebuild(now)
        if self._only is not None:
            return self._lease_only(self._only, now)
        if not self._ready:
            raise self._empty()
        if now < self._total.cool_until:
            avoid = self._without_cooling(avoid, now)
        return self._balanced(key, now, avoid)

    def home(self, home: Stays, captured: Mapping[str, str] = {}) -> Lease:
        """Lease the endpoint that has what a call asks for, whether it is in rotation or not.

        If that is unknown or gone, its id chooses among all endpoints, so that all sidecars choose
        alike, whatever they think of the endpoints' health. Raise AttemptError when there is none,
        or when an operator has opened its breaker.
        """
        now = time.monotonic()
        templated = self.upstream.templated
        every = self.upstream.for_call(captured) if templated else self.upstream.endpoints()
        members = self._members(every)
        self._matching = len(members)
        found = next((each for each in members if each.name == home.endpoint), None)
        if found is None:
            named = home.id.encode() + b"\n"
            possible = [each for each in members if each.usable] or members
            score = lambda each: balance.stable_hash(named + each.name.encode())  # noqa: E731
            found = max(possible, key=score, default=None)
        if found is None or found.override.breaker == "open":
            raise self._empty()
        lease = self._lease_at(found, now)
        return lease or Lease(found, None, None, now, self.selection.balance.decay)

    def elsewhere(self, tried: Sequence[Load], captured: Mapping[str, str] = {}) -> bool:
        """Whether another endpoint than the last *tried* one is in rotation and not cooling."""
        now = time.monotonic()
        if self.upstream.templated:
            loads = [each.load for each in self.upstream.for_call(captured) if each.usable]
        else:
            if self._seen != self.upstream.membership.generation or now >= self._recheck:
                self._rebuild(now)
            loads = list(self._ready)
        return any(load.cool_until <= now and load not in tried[-1:] for load in loads)

    def in_rotation(self) -> list[Endpoint]:
        """List the endpoints that picks are among now. Not for templates, which calls fill in."""
        now = time.monotonic()
        if self._seen != self.upstream.membership.generation or now >= self._recheck:
            self._rebuild(now)
        return list(self._ready.values())

    def _without_cooling(self, avoid: Collection[Load], now: float) -> Collection[Load]:
        """Return what to avoid, with the endpoints that are cooling, unless none would be left."""
        ready = self._ready
        cooling = {load for load in ready if now < load.cool_until}
        if len(cooling) == len(ready):
            return avoid
        both = cooling.union(avoid)
        return cooling if both >= ready.keys() else both

    def _balanced(self, key: int, now: float, avoid: Collection[Load]) -> Lease:
        """Lease what the balancer chooses; another one, where a half-open breaker is full."""
        ready = self._ready
        full: set[Load] = set()
        while True:
            load = self._balancer.pick(key, now, _random, {*avoid, *full} if full else avoid)
            if load in full:  # of the others, each was tried before
                load = self._balancer.pick(key, now, _random, full)
            lease = self._lease_at(ready[load], now)
            if lease is not None:
                return lease
            full.add(load)
            if len(full) == len(ready):
                return self._lease_only(ready[load], now)

    def _lease_at(self, endpoint: Endpoint, now: float) -> Lease | None:
        """Lease *endpoint*; None where its half-open breaker permits no more trials."""
        breaker = self._breaker(endpoint)
        permit = None if breaker is None else breaker.acquire(now)
        if permit is None and breaker is not None and breaker.status == "half_open":
            return None
        return Lease(endpoint, breaker, permit, now, self.selection.balance.decay)

    def _lease_only(self, endpoint: Endpoint, now: float) -> Lease:
        """Lease *endpoint*, as there is no other. Without panic its breaker may still refuse."""
        lease = self._lease_at(endpoint, now)
        if lease is not None:
            return lease
        if not self.selection.ejection.panic:
            raise self._empty()
        return Lease(endpoint, None, None, now, self.selection.balance.decay)

    def _breaker(self, endpoint: Endpoint) -> Breaker | None:
        """Return the breaker of *endpoint* for these calls, made at its first use."""
        settings, scope = self.selection.breaker, self.selection.scope
        if settings is None:
            return None
        breaker = endpoint.breakers.get(scope)
        return breaker or endpoint.new_breaker(scope, settings, _random)

    # -- membership --

    def _rebuild(self, now: float) -> None:
        self._seen = self.upstream.membership.generation
        members = self._members(self.upstream.endpoints())
        usable = [endpoint for endpoint in members if endpoint.usable]
        # Where no address is known yet, a call would wait for the resolver.
        usable = [endpoint for endpoint in usable if endpoint.reachable] or usable
        opened = [self._out_since(endpoint, now) for endpoint in usable]
        found = rotation(opened, self.selection.ejection)
        self._tell_panic(found.panic)
        ready = [usable[index] for index in found.ready]
        out = [usable[index] for index in found.ejected]
        self._recheck = min((self._back_at(endpoint) for endpoint in out), default=float("inf"))
        self._ready = {endpoint.load: endpoint for endpoint in ready}
        self._only = ready[0] if len(ready) == 1 else None
        self._matching = len(members)
        self._stats.ejected[self.selection.scope] = [endpoint.name for endpoint in out]
        if ready:
            self._balancer.update(list(self._ready), now)

    def _tell_panic(self, panic: bool) -> None:
        self.panic = panic
        if not self.selection.ejection.panic:  # other routes of this scope may panic, and tell so
            return
        scope, told = self.selection.scope, self._stats.panic
        if told.get(scope, False) != panic:
            extra = {"upstream": self.upstream.name, "scope": scope}
            if panic:
                _log.warning("panic: every endpoint is ejected, so all are tried", extra=extra)
            else:
                _log.info("panic is over: some endpoints are in rotation again", extra=extra)
        told[scope] = panic

    def _members(self, endpoints: list[Endpoint]) -> list[Endpoint]:
        wanted = self.selection.labels.items()
        if not wanted:
            return endpoints
        fit = [endpoint for endpoint in endpoints if wanted <= endpoint.labels.items()]
        return endpoints if not fit and self.selection.missing_is_any else fit

    def _out_since(self, endpoint: Endpoint, now: float) -> float | None:
        """Return when *endpoint* was ejected; None while it is in rotation."""
        if endpoint.down_since is not None:
            return endpoint.down_since
        breaker = endpoint.breakers.get(self.selection.scope)
        if breaker is None or self.selection.breaker is None:
            return None
        breaker.settings = self.selection.breaker
        is_out = breaker.status == "open" and now < breaker.until
        return breaker.opened_at if is_out else None

    def _back_at(self, endpoint: Endpoint) -> float:
        """Return when *endpoint* may be tried again. A health check tells of itself."""
        breaker = endpoint.breakers.get(self.selection.scope)
        down = endpoint.down_since is not None or breaker is None or breaker.status != "open"
        return float("inf") if down or breaker is None else breaker.until

    def _empty(self) -> AttemptError:
        """Make the error that says why no endpoint can be picked."""
        name = self.upstream.name
        if not self.upstream.sources or (not self._matching and not self.selection.labels):
            return AttemptError(f"upstream {name} has no endpoint", code="no_endpoint", status=503)
        if not self._matching:
            labels = ", ".join(f"{key}={value}" for key, value in self.selection.labels.items())
            return AttemptError(
                f"no endpoint of upstream {name} has the labels {labels}",
                code="no_matching_endpoint",
                status=503,
            )
        return AttemptError(
            f"every endpoint of upstream {name} is out of rotation",
            code="no_healthy_endpoint",
            status=503,
        )

    # -- templates --

    def _rendered(
        self, captured: Mapping[str, str], avoid: Collection[Load], now: float
    ) -> Endpoint:
        """Choose among the endpoints that a template makes for this call, in turn."""
        choices = self.upstream.for_call(captured)
        usable = [endpoint for endpoint in choices if endpoint.usable]
        self._matching = len(choices)
        if not usable:
            raise self._empty()
        usable = [each for each in usable if each.load.cool_until <= now] or usable
        if avoid:  # a retry must not move the turn: it would keep time with it
            untried = [endpoint for endpoint in usable if endpoint.load not in avoid] or usable
            return untried[int(_random() * len(untried))]
        self._turn += 1
        return usable[self._turn % len(usable)]
