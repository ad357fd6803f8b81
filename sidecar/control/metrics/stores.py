"""Metrics of what is kept and shared: cache, store and exchange."""

from __future__ import annotations

from typing import Final

from sidecar.control.metrics.family import Metric, MetricsOf
from sidecar.observe.numbers import Kept
from sidecar.observe.store_stats import ExchangeStats, StoreStats

_CACHE: Final = MetricsOf[Kept](
    (), lambda stats: [] if stats.cache is None else [((), stats.cache)]
)
_STORE: Final = MetricsOf[StoreStats](
    (), lambda stats: [] if stats.store is None else [((), stats.store)]
)
_EXCHANGE: Final = MetricsOf[ExchangeStats](
    (), lambda stats: [] if stats.exchange is None else [((), stats.exchange)]
)

METRICS: Final[tuple[Metric, ...]] = (
    _CACHE.gauge("cache_entries", "Replies kept in memory.", lambda kept: kept.entries),
    _CACHE.gauge("cache_bytes", "Memory that they take.", lambda kept: kept.size),
    _CACHE.counter(
        "cache_evicted", "Replies that made room for others.", lambda kept: kept.evicted
    ),
    _STORE.counts(
        "store_questions",
        "result",
        "Questions to the shared store: hit, miss, late, error, busy, refused, foreign.",
        lambda store: store.results,
    ),
    _STORE.histogram(
        "store_seconds",
        "Time to answers of the shared store that came in time.",
        lambda store: store.seconds,
    ),
    _STORE.gauge(
        "store_available",
        "1 while the shared store is asked, 0 while its circuit is open.",
        lambda store: store.state == "closed",
    ),
    _EXCHANGE.counts(
        "shared_rounds",
        "result",
        "Rounds in which limits, budgets and paces are shared: answered, failed, late, lost.",
        lambda exchange: exchange.results,
    ),
    _EXCHANGE.histogram(
        "shared_seconds",
        "Time of such rounds that were answered.",
        lambda exchange: exchange.seconds,
    ),
    _EXCHANGE.gauge(
        "shared_available",
        "1 while limits, budgets and paces are shared, 0 while they go by this sidecar's share.",
        lambda exchange: not exchange.alone,
    ),
    _EXCHANGE.gauge(
        "shared_peers",
        "Sidecars that share limits, budgets and paces, this one too.",
        lambda exchange: exchange.peers,
    ),
)
