"""A configuration, ready to serve. A call uses exactly one from start to end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sidecar.config.model.policy import PRIORITIES
from sidecar.observe.stats import RouteStats, Stats
from sidecar.proxy.routing.pricing import Pricing
from sidecar.proxy.routing.router import Route, Router, Rule
from sidecar.proxy.routing.stack import Parts, build, layers_of

if TYPE_CHECKING:
    from sidecar.config.load import Loaded
    from sidecar.config.model import Config
    from sidecar.config.model import Route as RouteConfig
    from sidecar.config.overlay import Effective
    from sidecar.proxy.routing.shared_state import Transaction
    from sidecar.proxy.tasks.tasks import Tasks
    from sidecar.upstream.endpoints.upstream import Upstream


class Snapshot(NamedTuple):
    """Immutable: a reload makes another and replaces it by one attribute store."""

    config: Config
    router: Router
    upstreams: dict[str, Upstream]
    scopes: dict[str, set[str]]
    """The breaker scopes of each upstream."""
    tasks: Tasks | None = None
    """None: no task is configured."""

    def __repr__(self) -> str:
        return f"<Snapshot {len(self.router.rules)} routes, {len(self.upstreams)} upstreams>"


def compile_snapshot(
    loaded: Loaded, upstreams: dict[str, Upstream], stats: Stats, transaction: Transaction
) -> Snapshot:
    """Compile everything of *loaded* that calls need."""
    compiler = _Compiler(loaded, upstreams, stats, transaction)
    rules = [
        Rule(route.match, route.rewrite, compiler.route(index))
        for index, route in enumerate(loaded.config.routes)
    ]
    scopes: dict[str, set[str]] = {name: set() for name in upstreams}
    for (_, upstream), effective in loaded.effective.items():
        scopes[upstream].add(effective.breaker_scope)
    tasks = None
    if loaded.config.tasks:
        # Imported here, so that it takes no memory where there are none.
        from sidecar.proxy.tasks.compiled import compile_tasks
        from sidecar.proxy.tasks.tasks import Tasks

        by_name = {rule.route.name: rule.route for rule in rules}
        tasks = Tasks(compile_tasks(loaded.config), by_name, stats)
    return Snapshot(loaded.config, Router(rules), upstreams, scopes, tasks)


class _Compiler:
    def __init__(
        self, loaded: Loaded, upstreams: dict[str, Upstream], stats: Stats, transaction: Transaction
    ) -> None:
        self._loaded = loaded
        self._upstreams = upstreams
        self._stats = stats
        self._draft = transaction
        self._trusted = any(listener.trust.headers for listener in loaded.config.listeners)
        self._pricing = Pricing(
            (glob, price.settings()) for glob, price in loaded.config.prices.items()
        )
        self._others: dict[tuple[int, str], Route] = {}
        transaction.changes.append(partial(_forget, stats))

    def route(self, index: int, policy_name: str | None = None) -> Route:
        """Return the route at *index*, under its own policy or the one named."""
        config = self._loaded.config.routes[index]
        name = config.name or f"{index}-{config.upstream}"

        def effective(upstream: str) -> Effective:
            named = policy_name and self._loaded.overlay.named(upstream, policy_name)
            of_route = named or self._loaded.effective.get((index, upstream))
            return of_route or self._loaded.overlay.alone(upstream)  # a guard's

        counts = self._stats.routes.setdefault((name, config.upstream), RouteStats())
        parts = Parts(
            name if policy_name is None else f"{name} under {policy_name}",
            config,
            self._loaded.config.upstreams,
            self._upstreams,
            effective,
            self._draft,
            self._stats,
            counts,
            self._loaded.config.store,
            self._trusted,
            self._loaded.config.budgets,
            self._loaded.waiting,
        )
        policy = effective(config.upstream).policy
        stack = build(parts)
        return Route(
            name,
            self._upstreams[config.upstream],
            policy.timeouts.settings(),
            int(policy.hold),
            stack,
            counts,
            PRIORITIES[policy.priority],
            *_renames(config),
            self._pricing,
            policy.timeouts.sdk,
            layers_of(stack),
            partial(self._under, index),
        )

    def _under(self, index: int, policy_name: str) -> Route | None:
        """Compile on first use: there may be many routes and many policies."""
        upstream = self._loaded.config.routes[index].upstream
        if self._loaded.overlay.named(upstream, policy_name) is None:
            return None
        key = (index, policy_name)
        if key not in self._others:
            self._others[key] = self.route(*key)
        return self._others[key]


def _forget(stats: Stats) -> None:
    """Show nothing that the configuration may no longer have; what it has is set after this."""
    stats.cache = stats.store = None
    stats.token_limits.clear()
    stats.quotas.clear()
    stats.budgets.clear()
    for upstream in stats.upstreams.values():
        upstream.queue = upstream.keys = None


def _renames(route: RouteConfig) -> tuple[bool, bool]:
    """Whether any upstream of *route*, and any that may be tried first, gets another model."""
    first = [route.model, *(split.model for split in route.split)]
    later = [fallback.model for fallback in route.fallback]
    if route.mirror is not None:
        later.append(route.mirror.model)
    return any(name is not None for name in first + later), any(name is not None for name in first)
