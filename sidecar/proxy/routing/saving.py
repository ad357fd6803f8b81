"""The layers of a route that save upstream calls."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sidecar.llm.dialects import APIS
from sidecar.proxy.layers.cache import Cache, CacheOptions
from sidecar.proxy.layers.keeps import Keeps, Memory, Rules
from sidecar.proxy.layers.keyed import CallKey, Keyed
from sidecar.proxy.layers.single_flight import SingleFlight

if TYPE_CHECKING:
    from sidecar.config.model.cache import Cache as CacheConfig
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.routing.stack import Parts


def saving(parts: Parts, inner: Layer) -> Layer:
    """Return *inner*, behind what its policy sets to save calls.

    A call looks for a kept reply; without one, it joins the same call in flight; the first of
    these has its reply kept.
    """
    route = parts.route
    policy = parts.effective(route.upstream).policy
    if policy.cache is None and policy.single_flight is None:
        return inner
    dialect = parts.configs[route.upstream].dialect
    key = CallKey(parts.name, dialect, APIS[dialect], policy.cache_key.settings())
    stack = inner
    memory = None if policy.cache is None else _memory(parts)
    if policy.cache is not None and memory is not None:
        shared = policy.cache_key.shared
        rules = Rules(parts.name, policy.cache.settings(), key.headers, shared)
        stack = Keeps(stack, rules, memory.put)
    if policy.single_flight is not None:
        stack = SingleFlight(stack, int(policy.single_flight.buffer), parts.stats.saved)
    if policy.cache is None or memory is None:
        return Keyed(stack, inner, key)
    cache = Cache(stack, inner, memory, _options(policy.cache), parts.stats)
    return Keyed(cache, inner, key, cache.passed)


def _options(config: CacheConfig) -> CacheOptions:
    return CacheOptions(config.settings(), paced=config.replay == "recorded")


def _memory(parts: Parts) -> Memory:
    """Return the memory of all routes, which outlives reloads."""
    most = int(parts.store.memory)
    memory = parts.transaction.get(
        "replies", lambda: Memory(most), lambda memory: memory.resize(most)
    )
    parts.transaction.changes.append(partial(setattr, parts.counts, "cache", memory))
    return memory
