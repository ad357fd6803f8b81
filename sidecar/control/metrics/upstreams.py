"""Metrics of upstreams: ejections, admission and keys."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Final

from sidecar.control.metrics.family import Labels, Metric, MetricsOf
from sidecar.observe.numbers import KeyNumbers, Queue
from sidecar.observe.stats import Stats, UpstreamStats


def _queues(stats: Stats) -> Iterable[tuple[Labels, Queue]]:
    return [
        ((name,), of.queue) for name, of in dict(stats.upstreams).items() if of.queue is not None
    ]


def _keys(stats: Stats) -> Iterable[tuple[Labels, KeyNumbers]]:
    for name, of in dict(stats.upstreams).items():
        for key in of.keys.keys if of.keys is not None else ():
            yield (name, key.name), key


def _key_states(key: KeyNumbers) -> Mapping[Labels, float]:
    states, now = ("in_use", "cooling", "restricted", "refused"), key.state(time.monotonic())
    return {(state,): float(state == now) for state in states}


_UPSTREAMS: Final = MetricsOf[UpstreamStats](
    ("upstream",), lambda stats: [((name,), of) for name, of in dict(stats.upstreams).items()]
)
_QUEUES: Final = MetricsOf[Queue](("upstream",), _queues)
_KEYS: Final = MetricsOf[KeyNumbers](("upstream", "key"), _keys)

METRICS: Final[tuple[Metric, ...]] = (
    _UPSTREAMS.gauges(
        "upstream_panic",
        ("scope",),
        "1 while every endpoint is ejected, and all are tried.",
        lambda upstream: {(scope,): on for scope, on in upstream.panic.copy().items()},
    ),
    _UPSTREAMS.gauges(
        "upstream_ejected",
        ("scope",),
        "Endpoints that are ejected from rotation.",
        lambda upstream: {(scope,): len(out) for scope, out in upstream.ejected.copy().items()},
    ),
    _QUEUES.gauge(
        "admission_in_flight",
        "Calls in flight that count in `admission`.",
        lambda queue: queue.in_flight,
    ),
    _QUEUES.gauge(
        "admission_queued",
        "Calls waiting in the `admission` queue.",
        lambda queue: queue.queued,
    ),
    _UPSTREAMS.histogram(
        "admission_wait_seconds",
        "Time that calls waited in the `admission` queue.",
        lambda upstream: upstream.queue_wait,
    ),
    _UPSTREAMS.counts(
        "shed",
        "reason",
        "Calls that `admission` refused, by reason.",
        lambda upstream: upstream.shed,
    ),
    _KEYS.counts(
        "key_attempts",
        "result",
        "Attempts with one of several keys, by result: ok, rate_limit, authentication, money, "
        "other, failed, given_up.",
        lambda key: key.calls.copy(),
    ),
    _KEYS.gauges(
        "key_state",
        ("state",),
        "1 for the state of the key: in_use, cooling, restricted or refused.",
        _key_states,
    ),
    _KEYS.counter(
        "key_cooldowns",
        "How often a rate limit took the key out of use for a time.",
        lambda key: key.cooldowns,
    ),
)
