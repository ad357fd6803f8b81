"""Metrics of listeners: connections of applications."""

from __future__ import annotations

from typing import Final

from sidecar.control.metrics.family import Metric, MetricsOf
from sidecar.observe.stats import ListenerStats

_LISTENERS: Final = MetricsOf[ListenerStats](
    ("listener",), lambda stats: [((name,), of) for name, of in dict(stats.listeners).items()]
)

METRICS: Final[tuple[Metric, ...]] = (
    _LISTENERS.gauge(
        "listener_connections",
        "Open connections of applications.",
        lambda listener: listener.open,
    ),
    _LISTENERS.counter(
        "listener_accepted",
        "Connections accepted from applications.",
        lambda listener: listener.accepted,
    ),
    _LISTENERS.counts(
        "listener_refused",
        "status",
        "Messages refused because they are not valid requests, by status.",
        lambda listener: listener.refused,
    ),
    _LISTENERS.counts(
        "access_denied",
        "reason",
        "Calls that a listener's `access` did not let in, by reason.",
        lambda listener: listener.denied,
    ),
    _LISTENERS.counts(
        "tls_handshakes",
        "result",
        "TLS handshakes of callers: ok, bad_certificate, failed, left.",
        lambda listener: listener.handshakes,
    ),
    _LISTENERS.counts(
        "listener_decisions",
        "decision",
        "Connections to an intercepting listener, by what was decided.",
        lambda listener: listener.decisions,
    ),
    _LISTENERS.gauge(
        "passed_through",
        "Open connections that are passed through.",
        lambda listener: listener.passing,
    ),
    _LISTENERS.counter(
        "passed_through_request_bytes",
        "Bytes passed through from clients to servers.",
        lambda listener: listener.passed_out,
    ),
    _LISTENERS.counter(
        "passed_through_response_bytes",
        "Bytes passed through from servers to clients.",
        lambda listener: listener.passed_in,
    ),
)
