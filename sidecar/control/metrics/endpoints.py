"""Metrics of endpoints: attempts, connections, health and breakers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.control.metrics.family import Labels, Metric, MetricsOf
from sidecar.observe.stats import EndpointStats


def _breakers(of: EndpointStats) -> Mapping[Labels, float]:
    states = ("closed", "half_open", "open")
    now = of.breakers.copy().items()
    return {(scope, state): float(state == is_) for scope, is_ in now for state in states}


_ENDPOINTS: Final = MetricsOf[EndpointStats](
    ("upstream", "endpoint"), lambda stats: dict(stats.endpoints).items()
)

METRICS: Final[tuple[Metric, ...]] = (
    _ENDPOINTS.counts(
        "upstream_replies",
        "verdict",
        "Replies of attempts that were read, by how they ended.",
        lambda endpoint: endpoint.verdicts,
    ),
    _ENDPOINTS.counts(
        "attempts",
        "status",
        "Attempts that have ended, by the endpoint's status; 0 if no head came.",
        lambda endpoint: endpoint.attempts,
    ),
    _ENDPOINTS.counts(
        "attempt_errors",
        "code",
        "Attempts that failed, by error code.",
        lambda endpoint: endpoint.errors,
    ),
    _ENDPOINTS.histogram(
        "attempt_first_seconds",
        "Time from the choice of the endpoint to the first content of a stream, or to the head of "
        "another reply, of attempts that went well.",
        lambda endpoint: endpoint.first,
    ),
    _ENDPOINTS.histogram(
        "attempt_duration_seconds",
        "Time from the choice of the endpoint to the end of its reply, of attempts that went well.",
        lambda endpoint: endpoint.duration,
    ),
    _ENDPOINTS.gauge(
        "attempts_in_flight", "Attempts in flight.", lambda endpoint: endpoint.in_flight
    ),
    _ENDPOINTS.gauge(
        "tunnels",
        "Open connections that switched to WebSocket.",
        lambda endpoint: endpoint.tunnels,
    ),
    _ENDPOINTS.counter(
        "replays",
        "Requests sent again because their pooled connection had been closed.",
        lambda endpoint: endpoint.replays,
    ),
    _ENDPOINTS.counter(
        "upstream_request_bytes",
        "Bytes of request bodies sent to the endpoint.",
        lambda endpoint: endpoint.bytes_out,
    ),
    _ENDPOINTS.counter(
        "upstream_response_bytes",
        "Bytes of reply bodies received from the endpoint.",
        lambda endpoint: endpoint.bytes_in,
    ),
    _ENDPOINTS.gauge(
        "endpoint_weight",
        "Weight of the endpoint, with what an operator has set.",
        lambda endpoint: endpoint.weight,
    ),
    _ENDPOINTS.gauge(
        "endpoint_drained",
        "1 while an operator drains the endpoint.",
        lambda endpoint: endpoint.drained,
    ),
    _ENDPOINTS.gauge(
        "endpoint_healthy",
        "1 unless the endpoint's health checks fail.",
        lambda endpoint: endpoint.up,
    ),
    _ENDPOINTS.counts(
        "health_checks",
        "result",
        "Health checks of the endpoint, by result.",
        lambda endpoint: endpoint.probes,
    ),
    _ENDPOINTS.gauges(
        "breaker_state",
        ("scope", "state"),
        "1 for the state that each breaker of the endpoint is in.",
        _breakers,
    ),
    _ENDPOINTS.counts(
        "breaker_transitions",
        "state",
        "Changes of the breakers' states, by the new state.",
        lambda endpoint: endpoint.transitions,
    ),
    _ENDPOINTS.gauge(
        "pool_open",
        "Connections of the pool, those being made included.",
        lambda endpoint: endpoint.open,
    ),
    _ENDPOINTS.gauge("pool_idle", "Idle connections of the pool.", lambda endpoint: endpoint.idle),
    _ENDPOINTS.gauge(
        "pool_waiting",
        "Calls waiting for a connection of the pool.",
        lambda endpoint: endpoint.waiting,
    ),
    _ENDPOINTS.counter(
        "connects", "Connections made to the endpoint.", lambda endpoint: endpoint.connects
    ),
    _ENDPOINTS.counter(
        "connect_errors",
        "Connections to the endpoint that could not be made.",
        lambda endpoint: endpoint.connect_errors,
    ),
    _ENDPOINTS.histogram(
        "connect_seconds",
        "Time to connect to the endpoint: name, TCP and TLS.",
        lambda endpoint: endpoint.connect,
    ),
)
