"""The order of the layers: the one list of what can happen to a call.

What most routes don't have is imported where a policy sets it: elsewhere it takes no memory.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sidecar.config.model import Credentials as Keys
from sidecar.llm.dialects import APIS
from sidecar.observe.stats import RouteStats, Stats
from sidecar.policy.budget import Budget
from sidecar.policy.outage import Outage
from sidecar.policy.retry import parse_on
from sidecar.proxy.layers.affinity import affinity, sticky_point
from sidecar.proxy.layers.attempt import Attempt
from sidecar.proxy.layers.credentials import Credentials
from sidecar.proxy.layers.fallback import Fallback, Split, Target
from sidecar.proxy.layers.mirror import Mirror
from sidecar.proxy.layers.reads import Reads
from sidecar.proxy.layers.retry import Others, Retry
from sidecar.proxy.routing.hinting import hinted
from sidecar.proxy.routing.homing import homing
from sidecar.proxy.routing.limiters import limited
from sidecar.proxy.routing.shown_keys import shows_keys
from sidecar.upstream.load_balancer import LoadBalancer, Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sidecar.config.model import Budget as BudgetConfig
    from sidecar.config.model import Budgets as BudgetsConfig
    from sidecar.config.model import Route as RouteConfig
    from sidecar.config.model import Store, Upstream
    from sidecar.config.model import Target as TargetConfig
    from sidecar.config.model.redact import Guard as GuardConfig
    from sidecar.config.overlay import Effective
    from sidecar.proxy.layers.guard import Guard
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.routing.shared_state import Transaction
    from sidecar.upstream.endpoints.upstream import Upstream as UpstreamState


class Parts(NamedTuple):
    """The inputs for the stack of one route."""

    name: str
    route: RouteConfig
    configs: dict[str, Upstream]
    upstreams: dict[str, UpstreamState]
    effective: Callable[[str], Effective]
    """Returns the effective policy of the route at an upstream."""
    transaction: Transaction
    counts: Stats
    stats: RouteStats
    store: Store
    """Where replies are kept."""
    trusted: bool
    """Whether callers may set their own retries."""
    budgets: BudgetsConfig
    waiting: frozenset[str] = frozenset()
    """Upstreams that have no key until a file comes."""


def build(parts: Parts) -> Layer:
    """Build the stack of a route, from the inside out. A policy that is not set is no layer."""
    route = parts.route
    # Each upstream, under the effective policy of the route there.
    stack = _upstream(parts, route.upstream, route.labels, spare=bool(route.fallback))
    if route.split or route.fallback or route.model is not None or not shows_keys(parts, route):
        stack = _target(parts, route, stack)
    ways = {route.upstream: stack}
    # Splits come before any attempt, so that all calls of a canary count for it.
    if route.split:
        stack = _split(parts, stack, ways)
    # Around the attempts of one upstream: the next is tried when its retries are used up.
    if route.fallback:
        last = route.fallback[-1]
        others = [
            _target(parts, other, _upstream(parts, other.upstream, {}, spare=other is not last))
            for other in route.fallback
        ]
        ways = {**{other.upstream: other for other in reversed(others)}, **ways}
        stack = Fallback(stack, others, *parse_on(route.fallback_on), parts.stats)
    # Around split and fallback: a call whose state is at one of these upstreams goes there only.
    stack = homing(parts, stack, ways)
    # One copy per call, not per attempt.
    if route.mirror is not None:
        name = route.mirror.upstream
        once = _edited(parts, name, _keyed(parts, name, _attempt(parts, name, {}, spare=False)))
        once = _authenticated(parts, name, once)
        stack = Mirror(
            stack,
            _target(parts, route.mirror, once),
            float(route.mirror.share),
            route.mirror.max_in_flight,
            parts.stats,
        )
    # Around everything that asks an upstream, since a joint call is one call: it has one retry, one
    # fallback, one slot of `max_in_flight`. Within what saves calls, so that only calls that differ
    # and that nobody has an answer for travel together; and within the limits, which count callers.
    policy = parts.effective(route.upstream).policy
    if policy.batch is not None:
        from sidecar.proxy.routing.batching import batching

        stack = batching(parts, policy.batch, stack)
    # Around everything that asks an upstream: what the calls share is asked once.
    if policy.cache is not None or policy.single_flight is not None:
        from sidecar.proxy.routing.saving import saving

        stack = saving(parts, stack)
    # Around everything that takes time.
    if policy.comments is not None:
        from sidecar.proxy.layers.comments import Comments

        stack = Comments(stack, APIS[parts.configs[route.upstream].dialect], float(policy.comments))
    # What a rule answers needs no upstream, nor a place in a cache.
    if policy.rules:
        from sidecar.policy.rules import Rules as RulesPolicy
        from sidecar.proxy.layers.rules import Rules

        rules = RulesPolicy([rule.settings() for rule in policy.rules])
        dialect = parts.configs[route.upstream].dialect
        stack = Rules(stack, rules, dialect, int(policy.hold), parts.stats)
    # Outermost: a call over the limit costs nothing but its refusal.
    return limited(stack, policy.limits, parts.name, parts.transaction, parts.stats.count_limited)


def layers_of(stack: Layer) -> tuple[str, ...]:
    """Name the layers on the way to the attempt that a call makes first, outermost first."""
    names = []
    layer: Layer | None = stack
    while layer is not None:
        names.append(type(layer).__name__.lower())
        ways = [getattr(layer, name, None) for name in ("_inner", "_first")]
        ways += getattr(layer, "_targets", ())
        layer = next((way for way in ways if way is not None), None)
    return tuple(names)


def attempts_of(stack: Layer) -> list[Attempt]:
    """List the attempts that *stack* may make: at the route's upstream, those of `split`, those of
    `fallback` and that of `mirror`, each in their order."""
    if isinstance(stack, Attempt):
        return [stack]
    ways = [getattr(stack, name, None) for name in ("_inner", "_first")]
    ways += getattr(stack, "_targets", ())
    if isinstance(stack, Fallback):
        ways += stack.others
    if isinstance(stack, Mirror):
        ways.append(stack.target)
    return [attempt for way in ways if way is not None for attempt in attempts_of(way)]


def _upstream(parts: Parts, upstream: str, labels: Mapping[str, str], *, spare: bool) -> Layer:
    """Build the layers for one upstream. *spare*: another upstream is left after it."""
    policy = parts.effective(upstream).policy
    config = parts.configs[upstream]
    # Picks an endpoint, connects and sends: the other layers decide when, and how often.
    attempt = _attempt(parts, upstream, labels, spare=spare)
    stack: Layer = attempt
    # Right around the attempt: what continues its stream is part of it, with its key and its place.
    if policy.resume is not None:
        from sidecar.proxy.layers.resume import Resume

        stack = Resume(attempt, policy.resume.tries, int(policy.hold), parts.stats)
    # Right around each attempt, which has its own key, and counts at the provider.
    room = None
    if config.pace is None:
        stack = _keyed(parts, upstream, stack)
    else:
        from sidecar.proxy.routing.pacing import paced

        turned = paced(parts, upstream, config.pace, stack)
        stack, room = turned, turned.room
    # Two attempts side by side count as one try.
    places = None
    if config.admission is not None:
        from sidecar.proxy.routing.queueing import places_at

        places = places_at(parts, upstream, config.admission)
    if (hedge := policy.hedge) is not None:
        from sidecar.proxy.routing.hedging import hedged

        budget = _budget(parts, "hedge", upstream, hedge.budget)
        stack = hedged(parts, upstream, hedge, stack, budget, attempt.wanted, places, room)
    # Around every try; it also counts the retries of SDKs.
    if policy.retry.max or parts.trusted:
        stack = Retry(
            stack,
            policy.retry.settings(),
            _budget(parts, "retry", upstream, policy.retry.budget),
            parts.transaction.get(("outage", upstream), Outage),
            parts.stats,
            Others(attempt.elsewhere, _spare(parts) if spare else frozenset()),
        )
    # A call keeps its slot through retries: releasing it would favour newer calls.
    if config.admission is not None and places is not None:
        from sidecar.proxy.routing.queueing import queued

        stack = queued(parts, upstream, config.admission, places, stack)
    # What an attempt is to look for in its reply, and what is asked for to that end.
    if policy.read:
        acts = bool(policy.retry.max) or spare or policy.hedge is not None
        acts = acts or isinstance(config.credentials, tuple)
        gate = policy.gate.settings() if policy.gate is not None and acts else None
        api = APIS[config.dialect]
        stack = Reads(stack, api, gate, verifies=policy.verify, include_usage=config.include_usage)
    # Around every attempt, since each uses tokens; before the queue of `admission`, so that who
    # waits for tokens takes no slot; inside what changes the body, so that what is sent is counted.
    if policy.limits.tokens is not None:
        from sidecar.proxy.routing.token_limits import token_limited

        stack = token_limited(parts, upstream, policy.limits.tokens, stack)
    # Before the limits on tokens: a call that may not be paid for reserves none.
    if parts.budgets.limits:
        from sidecar.proxy.routing.budgets import budgeted

        stack = budgeted(parts, stack)
    # Outside every attempt, so that all of them send the same.
    stack = _edited(parts, upstream, stack)
    # Outside every attempt, so that all of them authenticate alike.
    return _authenticated(parts, upstream, stack)


def _edited(parts: Parts, upstream: str, stack: Layer) -> Layer:
    """Wrap *stack* in what changes the body of a request for *upstream*."""
    policy, config = parts.effective(upstream).policy, parts.configs[upstream]
    # Innermost: a hint is about what is sent.
    stack = hinted(parts, upstream, stack)
    # Inside the shaping: what is dropped or trimmed need not be looked at.
    if policy.redact is not None:
        from sidecar.proxy.layers.redact import Redact, RedactSettings

        settings = RedactSettings(policy.redact.finder(), policy.redact.action)
        guard = _guard(parts, policy.redact.guard)
        stack = Redact(stack, settings, int(policy.hold), guard, parts.stats)
    if policy.shape is not None:
        from sidecar.proxy.layers.shape import Shape

        shaped = policy.shape.settings(config.urls)
        stack = Shape(stack, config.dialect, shaped, int(policy.hold), parts.stats)
    return stack


def _guard(parts: Parts, config: GuardConfig | None) -> Guard | None:
    """Build the way to a guard. It is an upstream like others, and gets no caller's keys."""
    if config is None:
        return None
    from sidecar.proxy.layers.guard import Guard, GuardSettings

    name = config.upstream
    attempt = _keyed(parts, name, _attempt(parts, name, {}, spare=False))
    stack = _authenticated(parts, name, attempt)
    settings = GuardSettings(config.path, float(config.deadline), config.when_away)
    return Guard(Target(name, stack, None, shows_keys=False), settings, parts.stats)


def _spare(parts: Parts) -> frozenset[int]:
    return parse_on(parts.route.fallback_on)[1]


def _authenticated(parts: Parts, upstream: str, stack: Layer) -> Layer:
    if upstream in parts.waiting:
        from sidecar.proxy.layers.awaits_key import AwaitsKey

        return AwaitsKey(upstream)
    credentials = parts.configs[upstream].credentials
    return Credentials(stack, credentials) if isinstance(credentials, Keys) else stack


def _keyed(parts: Parts, upstream: str, attempt: Layer) -> Layer:
    """Wrap *attempt* in the choice of a key, where there are several."""
    credentials = parts.configs[upstream].credentials
    if not isinstance(credentials, tuple):
        return attempt
    from sidecar.proxy.routing.key_pools import pooled

    return pooled(parts, upstream, credentials, attempt)


def _target(parts: Parts, target: RouteConfig | TargetConfig, stack: Layer) -> Target:
    """Wrap *stack* for the upstream of *target*."""
    return Target(target.upstream, stack, target.model, shows_keys=shows_keys(parts, target))


def _attempt(parts: Parts, upstream: str, labels: Mapping[str, str], *, spare: bool) -> Attempt:
    found = parts.effective(upstream)
    config = parts.configs[upstream]
    stats = parts.counts.upstream(upstream)
    # Panic is for calls without a fallback.
    ejection = found.policy.ejection.settings()
    if spare:
        ejection = ejection._replace(panic=False)
        parts.transaction.changes.append(partial(stats.forget_panic, found.breaker_scope))
    balance = config.balance_under(found.policy)
    selection = Selection(
        found.breaker_scope,
        None if found.policy.breaker is None else found.policy.breaker.settings(),
        ejection,
        balance.settings(config.reports_live()),
        labels,
        parts.route.labels_missing == "any",
    )
    rotation = LoadBalancer(parts.upstreams[upstream], selection, stats)
    reads_reports = config.load is not None and config.load.orca
    timers = found.policy.timeouts.settings()
    return Attempt(rotation, timers, affinity(balance), reads_reports)


def _budget(parts: Parts, kind: str, upstream: str, config: BudgetConfig) -> Budget:
    """Return the budget of all routes with the same allowance: it bounds the upstream's load."""
    wanted = config.settings()
    return parts.transaction.get((kind, upstream, wanted), lambda: Budget(wanted))


def _split(parts: Parts, primary: Layer, ways: dict[str, Layer]) -> Layer:
    """Build the split, and add to *ways* what leads to its upstreams."""
    route = parts.route
    spare = bool(route.fallback)
    targets = [
        _target(parts, each, _upstream(parts, each.upstream, {}, spare=spare))
        for each in route.split
    ]
    for target in targets:
        ways.setdefault(target.upstream, target)
    shares = [float(each.share) for each in route.split]
    point = None if route.sticky is None else sticky_point(route.sticky)
    return Split([primary, *targets], shares, point)
