"""Rows of the live page about endpoints, upstreams and listeners.

They are read in the admin server's thread, while the data plane's loop goes on: plain numbers, as
metrics are, and copies of mappings. Nothing here changes what it reads.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from sidecar.observe.numbers import BudgetNumbers
    from sidecar.observe.stats import ListenerStats, UpstreamStats
    from sidecar.upstream.endpoints.endpoint import Endpoint
    from sidecar.upstream.endpoints.upstream import Upstream

Row = dict[str, Any]


class Clock(NamedTuple):
    """One moment on both clocks."""

    monotonic: float
    unix: float

    @classmethod
    def now(cls) -> Clock:
        """Return this moment."""
        return cls(time.monotonic(), time.time())

    def at(self, monotonic: float) -> int:
        """Return the Unix second of a moment of the monotonic clock."""
        return round(self.unix + monotonic - self.monotonic)


class View(NamedTuple):
    """What serves at one moment, collected on the data plane's loop."""

    upstreams: Sequence[tuple[Upstream, Sequence[Endpoint]]]
    modes: Mapping[str, str]
    """Modes of listeners by address."""
    draining: bool


class State(NamedTuple):
    """Whether an endpoint gets attempts, and why not."""

    name: str
    """in_use, drained, forced_open, weight_0, down, no_address, open, half_open or cooling."""
    reason: str = ""
    until: int | None = None
    """Unix second at which that ends by itself, where it is known."""


def state_of(endpoint: Endpoint, clock: Clock, scope: str | None = None) -> State:
    """Return the state of *endpoint*. Where there are several reasons, the strongest counts.

    *scope*: whose breaker counts; None: all.
    """
    override, load = endpoint.override, endpoint.load
    if override.drained:
        return State("drained", "an operator drains it")
    if override.breaker == "open":
        return State("forced_open", "an operator holds its breaker open")
    if load.weight <= 0:
        who = "an operator" if override.weight is not None else "the configuration"
        return State("weight_0", f"{who} gives it weight 0")
    if endpoint.down_since is not None:
        return State("down", endpoint.problem or "its health checks fail")
    if failure := endpoint.resolved.failure:
        return State("no_address", failure)
    for state in _of_breakers(endpoint, clock, scope):
        return state
    if load.cool_until > clock.monotonic:
        asked = "it asked to be left alone, after a rate limit for example"
        return State("cooling", asked, clock.at(load.cool_until))
    held = "an operator holds its breaker closed" if override.breaker == "closed" else ""
    return State("in_use", held)


def _of_breakers(endpoint: Endpoint, clock: Clock, only: str | None) -> Iterator[State]:
    breakers = sorted(endpoint.breakers.copy().items(), key=lambda of: of[1].status != "open")
    for scope, breaker in breakers:
        if only not in (None, scope):
            continue
        window, calls = breaker.window, len(breaker.window)
        if breaker.status == "open":
            slow = f" and {window.slow} slow" if window.slow else ""
            seen = f"{window.failures} failed{slow} of {calls}" if calls else "trials failed"
            waits = breaker.until > clock.monotonic
            until = clock.at(breaker.until) if waits and breaker.until < float("inf") else None
            yield State("open", f"breaker of {scope}: {seen}", until)
        elif breaker.status == "half_open":
            yield State("half_open", f"breaker of {scope}: a few trials decide")


def endpoint_row(endpoint: Endpoint, number: int, clock: Clock) -> Row:
    """Show *endpoint*, the *number*-th of all."""
    stats, load, override = endpoint.stats, endpoint.load, endpoint.override
    state = state_of(endpoint, clock)
    attempts, errors = stats.attempts.copy(), stats.errors.copy()
    row: Row = {
        "n": number,
        "upstream": endpoint.upstream,
        "name": endpoint.name,
        "labels": dict(endpoint.labels),
        "weight": load.weight,
        "state": state.name,
        "reason": state.reason,
        "until": state.until,
        "override": override._asdict() if any(override) or override.weight == 0 else None,
        "in_flight": load.in_flight,
        "latency_ms": round(load.latency * 1e3, 1),
        "error_share": round(load.errors, 2),
        "attempts": sum(attempts.values()),
        "statuses": attempts,
        "errors": errors,
        "open": stats.open,
        "idle": stats.idle,
        "waiting": stats.waiting,
        "reported": None,
    }
    if load.reported is not None:
        row["reported"] = load.reported._asdict()
        row["reported_at"] = clock.at(load.reported_at)
    return row


def upstream_row(upstream: Upstream, stats: UpstreamStats, number: int, clock: Clock) -> Row:
    """Show *upstream*, its queue and its keys."""
    queue, keys = stats.queue, stats.keys
    row: Row = {
        "n": number,
        "name": upstream.name,
        "dialect": upstream.dialect,
        "templated": upstream.templated,
        "panic": sorted(scope for scope, on in stats.panic.copy().items() if on),
        "ejected": {scope: out for scope, out in stats.ejected.copy().items() if out},
        "shed": stats.shed.copy(),
        "queue": None,
        "keys": [] if keys is None else keys.shown(clock.monotonic),
    }
    if queue is not None:
        row["queue"] = {
            "in_flight": queue.in_flight,
            "max_in_flight": queue.settings.max_in_flight,
            "queued": queue.queued,
            "max_queued": queue.settings.max_queued,
        }
    return row


def budget_row(budget: BudgetNumbers, clock: Clock) -> Row:
    """Show *budget*, with the client that has spent most of its part."""
    shown, spent = budget.shown(), budget.current()
    most = max(spent.items(), key=lambda of: of[1], default=("", 0.0))
    return {
        "name": shown["budget"],
        "unit": shown["unit"],
        "amount": shown["amount"],
        "per": shown["per"],
        "period": shown["period"],
        "when_spent": shown["when_spent"],
        "exceeded": shown["exceeded"],
        "clients": len(spent),
        "client": most[0],
        "spent": most[1],
    }


def listener_row(address: str, stats: ListenerStats, mode: str) -> Row:
    """Show the listener at *address*."""
    return {
        "name": address,
        "mode": mode,
        "open": stats.open,
        "accepted": stats.accepted,
        "refused": stats.refused.copy(),
        "denied": stats.denied.copy(),
        "decisions": stats.decisions.copy(),
        "passing": stats.passing,
        "passed_in": stats.passed_in,
        "passed_out": stats.passed_out,
    }
