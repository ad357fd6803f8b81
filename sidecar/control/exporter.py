"""The plain numbers of `Stats` as Prometheus metrics, in the text format or OpenMetrics.

Only the admin server imports this, in its own thread and at the first scrape: prometheus_client
costs 1 MB beside aiohttp. Every collection reads the numbers anew; the data plane's loop goes on
adding meanwhile, so each mapping is copied in one step before it is walked.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Final, TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import CollectorRegistry
from prometheus_client.utils import floatToGoString

from sidecar import __version__
from sidecar.control import logs
from sidecar.observe import shortage
from sidecar.observe.stats import (
    EndpointStats,
    Histogram,
    ListenerStats,
    ReloadStats,
    RouteStats,
    SourceStats,
    Stats,
    UpstreamStats,
)

_ROUTE: Final = ("route", "upstream")
_ENDPOINT: Final = ("upstream", "endpoint")
_LISTENER: Final = ("listener",)
_UPSTREAM: Final = ("upstream",)

T = TypeVar("T")
Labels = tuple[str, ...]
Rows = Sequence[tuple[Labels, T]]
"""What is counted, under the values of its labels."""


class Exporter:
    """Render *stats*, and the process's own CPU, memory and descriptors, for a scrape."""

    def __init__(self, stats: Stats) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(stats))
        ProcessCollector(registry=self._registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return a body and its Content-Type, as an `Accept` header asks."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _Collector:
    def __init__(self, stats: Stats) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        stats = self._stats
        routes = list(dict(stats.routes).items())
        endpoints = list(dict(stats.endpoints).items())
        listeners = [((address,), of) for address, of in dict(stats.listeners).items()]
        yield from _of_calls(routes)
        yield from _of_policies(routes)
        yield from _of_attempts(endpoints)
        yield from _of_rotation(endpoints)
        yield from _of_upstreams([((name,), of) for name, of in dict(stats.upstreams).items()])
        yield from _of_connections(endpoints)
        yield from _of_listeners(listeners)
        yield from _of_reloads(stats.reloads)
        if stats.source is not None:
            yield from _of_source(stats.source)
        yield from _of_process(stats)


def _of_calls(rows: Rows[RouteStats]) -> Iterator[Metric]:
    yield _counts(
        "calls", "Calls by the status sent; 0: the caller left before.", _ROUTE, "status", rows,
        lambda route: route.statuses,
    )  # fmt: skip
    yield _counts(
        "call_errors", "Calls that the sidecar failed, by code.", _ROUTE, "code", rows,
        lambda route: route.errors,
    )  # fmt: skip
    yield _gauge("calls_in_flight", "Calls going on.", _ROUTE, rows, lambda r: r.in_flight)
    yield _histogram(
        "call_duration_seconds", "From a call's head to the end of its reply.", _ROUTE, rows,
        lambda route: route.duration,
    )  # fmt: skip
    yield _histogram(
        "call_first_byte_seconds", "From a call's head to its reply's first byte.", _ROUTE, rows,
        lambda route: route.first_byte,
    )  # fmt: skip
    yield _counter(
        "request_bytes", "Request body bytes received.", _ROUTE, rows, lambda r: r.bytes_in
    )
    yield _counter(
        "response_bytes", "Reply body bytes sent downstream.", _ROUTE, rows, lambda r: r.bytes_out
    )


def _of_policies(rows: Rows[RouteStats]) -> Iterator[Metric]:
    yield _counts(
        "retries", "Attempts made again, by what was wrong before.", _ROUTE, "reason", rows,
        lambda route: route.retries,
    )  # fmt: skip
    yield _counter(
        "retry_budget_exhausted", "Retries that the budget did not allow.", _ROUTE, rows,
        lambda route: route.budget_exhausted,
    )  # fmt: skip
    yield _counter("hedges", "Second attempts beside slow ones.", _ROUTE, rows, lambda r: r.hedges)
    yield _counter(
        "hedges_won", "Hedges that answered first.", _ROUTE, rows, lambda route: route.hedges_won
    )
    yield _counts(
        "fallbacks", "Calls that went on to another upstream.", _ROUTE, "to", rows,
        lambda route: route.fallbacks,
    )  # fmt: skip
    yield _counts(
        "mirrored", "Copies of calls, by status or error.", _ROUTE, "result", rows,
        lambda route: route.mirrored,
    )  # fmt: skip
    yield _counts(
        "limited", "Calls refused by a limit, by error code.", _ROUTE, "code", rows,
        lambda route: route.limited,
    )  # fmt: skip


def _of_rotation(rows: Rows[EndpointStats]) -> Iterator[Metric]:
    yield _gauge("endpoint_weight", "Weight in force.", _ENDPOINT, rows, lambda e: e.weight)
    yield _gauge("endpoint_drained", "1 while drained.", _ENDPOINT, rows, lambda e: e.drained)
    yield _gauge("endpoint_healthy", "1 unless its probes fail.", _ENDPOINT, rows, lambda e: e.up)
    yield _counts(
        "health_checks", "Health checks by result.", _ENDPOINT, "result", rows, lambda e: e.probes
    )
    family = GaugeMetricFamily(
        "sidecar_breaker_state", "1 for the state of each breaker.",
        labels=(*_ENDPOINT, "scope", "state"),
    )  # fmt: skip
    for values, endpoint in rows:
        for scope, now in endpoint.breakers.copy().items():
            for state in ("closed", "half_open", "open"):
                family.add_metric((*values, scope, state), float(state == now))
    yield family
    yield _counts(
        "breaker_transitions", "Changes of breakers, by the new state.", _ENDPOINT, "state", rows,
        lambda endpoint: endpoint.transitions,
    )  # fmt: skip


def _of_upstreams(rows: Rows[UpstreamStats]) -> Iterator[Metric]:
    panic = GaugeMetricFamily(
        "sidecar_upstream_panic", "1 while every endpoint is out and all are tried.",
        labels=(*_UPSTREAM, "scope"),
    )  # fmt: skip
    ejected = GaugeMetricFamily(
        "sidecar_upstream_ejected", "Endpoints out of rotation.", labels=(*_UPSTREAM, "scope")
    )
    for values, upstream in rows:
        for scope, on in upstream.panic.copy().items():
            panic.add_metric((*values, scope), float(on))
        for scope, names in upstream.ejected.copy().items():
            ejected.add_metric((*values, scope), len(names))
    yield panic
    yield ejected
    lines = [(values, of.line) for values, of in rows if of.line is not None]
    yield _gauge(
        "admission_in_flight", "Calls that hold a place.", _UPSTREAM, lines, lambda at: at.in_flight
    )
    yield _gauge("admission_queued", "Calls that wait.", _UPSTREAM, lines, lambda at: at.queued)
    yield _histogram(
        "admission_wait_seconds", "Time in the queue.", _UPSTREAM, rows, lambda u: u.queue_wait
    )
    yield _counts(
        "shed", "Calls turned away in front of the upstream.", _UPSTREAM, "reason", rows,
        lambda upstream: upstream.shed,
    )  # fmt: skip


def _of_attempts(rows: Rows[EndpointStats]) -> Iterator[Metric]:
    yield _counts(
        "attempts", "Attempts by upstream status; 0: no head came.", _ENDPOINT, "status", rows,
        lambda endpoint: endpoint.attempts,
    )  # fmt: skip
    yield _counts(
        "attempt_errors", "Attempts that failed, by code.", _ENDPOINT, "code", rows,
        lambda endpoint: endpoint.errors,
    )  # fmt: skip
    yield _gauge("attempts_in_flight", "Attempts going on.", _ENDPOINT, rows, lambda e: e.in_flight)
    yield _gauge(
        "tunnels", "Open upgraded connections (WebSocket).", _ENDPOINT, rows, lambda e: e.tunnels
    )
    yield _counter(
        "replays", "Requests sent again because a reused connection had died.", _ENDPOINT, rows,
        lambda endpoint: endpoint.replays,
    )  # fmt: skip
    yield _counter(
        "upstream_request_bytes", "Request body bytes sent.", _ENDPOINT, rows, lambda e: e.bytes_out
    )
    yield _counter(
        "upstream_response_bytes", "Reply body bytes received.", _ENDPOINT, rows,
        lambda endpoint: endpoint.bytes_in,
    )  # fmt: skip


def _of_connections(rows: Rows[EndpointStats]) -> Iterator[Metric]:
    yield _gauge("pool_open", "Open connections.", _ENDPOINT, rows, lambda e: e.open)
    yield _gauge("pool_idle", "Open connections at rest.", _ENDPOINT, rows, lambda e: e.idle)
    yield _gauge(
        "pool_waiting", "Calls waiting for a connection.", _ENDPOINT, rows, lambda e: e.waiting
    )
    yield _counter("connects", "Connections made.", _ENDPOINT, rows, lambda e: e.connects)
    yield _counter(
        "connect_errors", "Connections that failed.", _ENDPOINT, rows, lambda e: e.connect_errors
    )
    yield _histogram(
        "connect_seconds", "To connect, TLS included.", _ENDPOINT, rows, lambda e: e.connect
    )


def _of_listeners(rows: Rows[ListenerStats]) -> Iterator[Metric]:
    yield _gauge("listener_connections", "Open connections.", _LISTENER, rows, lambda at: at.open)
    yield _counter(
        "listener_accepted", "Connections accepted.", _LISTENER, rows, lambda at: at.accepted
    )
    yield _counts(
        "listener_refused", "Messages refused before they were calls.", _LISTENER, "status", rows,
        lambda listener: listener.refused,
    )  # fmt: skip
    yield _counts(
        "listener_decisions", "What became of connections that might be intercepted.", _LISTENER,
        "decision", rows, lambda listener: listener.decisions,
    )  # fmt: skip
    yield _gauge(
        "passed_through", "Connections being passed through.", _LISTENER, rows,
        lambda listener: listener.passing,
    )  # fmt: skip
    yield _counter(
        "passed_through_request_bytes", "Bytes of clients that were passed through.", _LISTENER,
        rows, lambda listener: listener.passed_out,
    )  # fmt: skip
    yield _counter(
        "passed_through_response_bytes", "Bytes of servers that were passed through.", _LISTENER,
        rows, lambda listener: listener.passed_in,
    )  # fmt: skip


def _of_reloads(reloads: ReloadStats) -> Iterator[Metric]:
    results = {
        "accepted": reloads.accepted,
        "rejected": reloads.rejected,
        "unchanged": reloads.unchanged,
    }
    rows = [((result,), count) for result, count in results.items()]
    yield _counter("reloads", "Reloads of the configuration.", ("result",), rows, _itself)
    yield _single(
        "config_last_reload_success_timestamp_seconds", "When the configuration was last taken.",
        reloads.last_accepted,
    )  # fmt: skip
    yield _single(
        "config_last_reload_successful", "1 unless the last configuration was refused.",
        float(not reloads.last_error),
    )  # fmt: skip
    yield _info("config_info", "The configuration in use.", hash=reloads.config_hash)


def _of_source(source: SourceStats) -> Iterator[Metric]:
    yield _info(
        "config_source_info", "The source of the configuration, and what was read of it last.",
        source=source.name, revision=source.revision,
    )  # fmt: skip
    yield _single(
        "config_source_last_heard_timestamp_seconds",
        "When the source last told its text, or that it is the same.", source.last_heard,
    )  # fmt: skip
    errors: Rows[int] = [((), source.errors)]
    yield _counter(
        "config_source_errors", "How often the source could not be read.", (), errors, _itself
    )


def _of_process(stats: Stats) -> Iterator[Metric]:
    yield _info(
        "build_info", "What runs.",
        version=__version__,
        python=platform.python_version(),
        implementation=platform.python_implementation(),
    )  # fmt: skip
    yield _single("start_time_seconds", "When the sidecar started.", stats.started)
    dropped: Rows[int] = [((), stats.log_dropped)]
    yield _counter("access_log_dropped", "Access log lines lost.", (), dropped, _itself)
    short = [((where,), count) for where, count in shortage.counts.copy().items()]
    yield _counter(
        "out_of_resources", "Connections that this machine had no means for.", ("for",), short,
        _itself,
    )  # fmt: skip
    lost: Rows[int] = [((), logs.dropped())]
    yield _counter("log_dropped", "Lines of the sidecar's own log lost.", (), lost, _itself)
    memory = stats.body_memory
    if memory is not None:
        yield _single("request_buffer_bytes", "Request bodies that are held.", memory.used)
        yield _single("request_buffer_limit_bytes", "What they may take.", memory.total)
        yield _single("request_buffer_waiting", "Bodies that wait for memory.", memory.waiting)
        refused: Rows[int] = [((), memory.refused)]
        yield _counter(
            "request_buffer_refused", "Bodies that waited in vain.", (), refused, _itself
        )


def _itself(value: float) -> float:
    return value


def _counter(
    name: str, text: str, labels: Labels, rows: Rows[T], value: Callable[[T], float]
) -> Metric:
    family = CounterMetricFamily(f"sidecar_{name}", text, labels=labels)
    for values, counted in rows:
        family.add_metric(values, value(counted))
    return family


def _counts(
    name: str,
    text: str,
    labels: Labels,
    extra: str,
    rows: Rows[T],
    counts: Callable[[T], dict[int, int] | dict[str, int]],
) -> Metric:
    """Make a counter with one more label, *extra*, whose values are the keys of a mapping."""
    family = CounterMetricFamily(f"sidecar_{name}", text, labels=(*labels, extra))
    for values, counted in rows:
        for key, count in counts(counted).copy().items():
            family.add_metric((*values, str(key)), count)
    return family


def _gauge(
    name: str, text: str, labels: Labels, rows: Rows[T], value: Callable[[T], float]
) -> Metric:
    family = GaugeMetricFamily(f"sidecar_{name}", text, labels=labels)
    for values, counted in rows:
        family.add_metric(values, value(counted))
    return family


def _histogram(
    name: str, text: str, labels: Labels, rows: Rows[T], histogram: Callable[[T], Histogram]
) -> Metric:
    family = HistogramMetricFamily(f"sidecar_{name}", text, labels=labels)
    for values, counted in rows:
        observed = histogram(counted)
        total, counts = observed.total, accumulate(observed.counts.copy())
        bounds = (*map(floatToGoString, observed.bounds), "+Inf")
        family.add_metric(values, list(zip(bounds, counts, strict=True)), total)
    return family


def _single(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"sidecar_{name}", text, value=value)


def _info(name: str, text: str, **labels: str) -> Metric:
    """Make a gauge of 1 whose labels are the news (an OpenMetrics Info reads the same)."""
    family = GaugeMetricFamily(f"sidecar_{name}", text, labels=tuple(labels))
    family.add_metric(tuple(labels.values()), 1)
    return family
