"""The layers of a route that save upstream calls."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sidecar.llm.dialects import APIS
from sidecar.observe.store_stats import StoreStats
from sidecar.proxy.layers.cache import Cache, CacheOptions
from sidecar.proxy.layers.keeps import Keeps, Memory, Rules
from sidecar.proxy.layers.keyed import CallKey, Keyed
from sidecar.proxy.layers.single_flight import SingleFlight

if TYPE_CHECKING:
    from sidecar.config.model.cache import Cache as CacheConfig
    from sidecar.config.model.cache import Redis
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.layers.shared_replies import SharedReplies
    from sidecar.proxy.routing.stack import Parts
    from sidecar.store.guard import Guard


def saving(parts: Parts, inner: Layer) -> Layer:
    """Return *inner*, behind what its policy sets to save calls.

    A call looks for a kept reply; without one, it joins the same call in flight; the first of
    these looks in the shared store, and has the upstream's reply kept.
    """
    route = parts.route
    policy = parts.effective(route.upstream).policy
    config = policy.cache
    dialect = parts.configs[route.upstream].dialect
    key = CallKey(parts.name, dialect, APIS[dialect], policy.cache_key.settings())
    stack = inner
    memory = None if config is None else _memory(parts)
    if config is not None and memory is not None:
        settings, paced = config.settings(), config.replay == "recorded"
        rules = Rules(parts.name, settings, key.headers, policy.cache_key.shared, paced)
        stack = Keeps(stack, rules, memory, _shared(parts, config, memory))
    if policy.single_flight is not None:
        stack = SingleFlight(stack, int(policy.single_flight.buffer), parts.stats.saved)
    if config is None or memory is None:
        return Keyed(stack, inner, key)
    options = CacheOptions(config.settings(), paced=config.replay == "recorded")
    cache = Cache(stack, inner, memory, options, parts.stats)
    return Keyed(cache, inner, key, cache.passed)


def _memory(parts: Parts) -> Memory:
    """Return the memory of all routes, which outlives reloads."""
    most = int(parts.store.memory)
    memory = parts.transaction.get(
        "replies", lambda: Memory(most), lambda memory: memory.resize(most)
    )
    parts.transaction.changes.append(partial(setattr, parts.counts, "cache", memory))
    return memory


def _shared(parts: Parts, config: CacheConfig, memory: Memory) -> SharedReplies | None:
    """Return what is shared with other sidecars. Raise OSError if it can't be."""
    redis, changes = parts.store.redis, parts.transaction.changes
    if redis is None or not config.redis:
        return None
    # Late: without it, neither is imported.
    from sidecar.proxy.layers.shared_replies import SharedOptions, SharedReplies

    stats = parts.transaction.get("store stats", StoreStats)
    guard = parts.transaction.get(("store", redis), partial(_guard, redis, stats))
    secret = b"" if redis.secret is None else redis.secret.encode()
    shared = SharedReplies(guard, SharedOptions(redis.prefix, secret, float(redis.lock)), stats)
    changes.append(guard.start)
    changes.append(partial(setattr, parts.counts, "store", stats))
    changes.append(partial(setattr, memory, "shared", shared))
    return shared


def _guard(redis: Redis, stats: StoreStats) -> Guard:
    from sidecar.proxy.routing.redis import redis_store
    from sidecar.store.guard import Guard

    return Guard(redis_store(redis), stats)
