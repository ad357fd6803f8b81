"""A configuration as it serves. A call sees exactly one from its start to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import UNSET

from sidecar.config.model import Policy
from sidecar.observe.stats import RouteStats, Stats
from sidecar.policy.timeouts import Timers
from sidecar.proxy.router import Route, Router, Rule
from sidecar.proxy.stack import build

if TYPE_CHECKING:
    from sidecar.config.model import Config, Timeouts
    from sidecar.config.model import Route as RouteConfig
    from sidecar.upstream.upstream import Upstream


class Snapshot(NamedTuple):
    """Never changed: a reload makes another and replaces it by one attribute store."""

    config: Config
    router: Router
    upstreams: dict[str, Upstream]


def compile_snapshot(config: Config, upstreams: dict[str, Upstream], stats: Stats) -> Snapshot:
    """Everything of *config* that calls need, worked out once."""
    rules = [
        Rule(route.match, route.rewrite, _route(index, route, config, upstreams, stats))
        for index, route in enumerate(config.routes)
    ]
    return Snapshot(config, Router(rules), upstreams)


def _route(
    index: int,
    config: RouteConfig,
    whole: Config,
    upstreams: dict[str, Upstream],
    stats: Stats,
) -> Route:
    upstream = upstreams[config.upstream]
    named = config.policy
    policy = whole.policies.get(named, Policy()) if isinstance(named, str) else named
    timers = _timers(policy.timeouts)
    name = config.name or f"{index}-{config.upstream}"
    counts = stats.routes.setdefault((name, config.upstream), RouteStats())
    stack = build(upstream, whole.upstreams[config.upstream], timers)
    return Route(name, upstream, timers, int(policy.hold), stack, counts)


def _timers(timeouts: Timeouts) -> Timers:
    first_byte = None if timeouts.first_byte is UNSET else float(timeouts.first_byte)
    total = None if timeouts.total is None else float(timeouts.total)
    return Timers(float(timeouts.connect), first_byte, float(timeouts.idle), total)
