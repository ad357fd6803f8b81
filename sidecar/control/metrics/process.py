"""Metrics of the process: configuration, versions, logs, spans and memory."""

from __future__ import annotations

import platform
from typing import Final

from sidecar import __version__
from sidecar.control import logs
from sidecar.control.metrics.family import Counts, Metric, MetricsOf
from sidecar.observe import shortage
from sidecar.observe.numbers import Memory
from sidecar.observe.reload_stats import SourceStats
from sidecar.observe.stats import Stats


def _results(stats: Stats) -> Counts:
    of = stats.reloads
    return {"accepted": of.accepted, "rejected": of.rejected, "unchanged": of.unchanged}


_PROCESS: Final = MetricsOf[Stats]((), lambda stats: [((), stats)])
_SOURCE: Final = MetricsOf[SourceStats](
    ("source",), lambda stats: [((source.name,), source) for source in stats.sources]
)
_MEMORY: Final = MetricsOf[Memory](
    (), lambda stats: [] if stats.body_memory is None else [((), stats.body_memory)]
)

METRICS: Final[tuple[Metric, ...]] = (
    _PROCESS.counts("reloads", "result", "Reloads of the configuration, by result.", _results),
    _PROCESS.gauge(
        "config_last_reload_success_timestamp_seconds",
        "Unix time of the last configuration that was accepted.",
        lambda stats: stats.reloads.last_accepted,
    ),
    _PROCESS.gauge(
        "config_last_reload_successful",
        "1 if the last configuration was accepted, 0 if it was refused.",
        lambda stats: not stats.reloads.last_error,
    ),
    _PROCESS.info(
        "config_info",
        "The configuration in use.",
        hash=lambda stats: stats.reloads.config_hash,
    ),
    _SOURCE.info(
        "config_source_info",
        "The source of the configuration, and the revision that was read last.",
        revision=lambda source: source.revision,
    ),
    _SOURCE.gauge(
        "config_source_last_heard_timestamp_seconds",
        "Unix time when the source was last read or found unchanged.",
        lambda source: source.last_heard,
    ),
    _SOURCE.counter(
        "config_source_errors",
        "Failed reads of the source of the configuration.",
        lambda source: source.errors,
    ),
    _PROCESS.info(
        "build_info",
        "Versions of the sidecar and of Python.",
        version=lambda _: __version__,
        python=lambda _: platform.python_version(),
        implementation=lambda _: platform.python_implementation(),
    ),
    _PROCESS.gauge(
        "start_time_seconds",
        "Unix time when the sidecar started.",
        lambda stats: stats.started,
    ),
    _PROCESS.counter(
        "access_log_dropped",
        "Lines of the access log that were dropped.",
        lambda stats: stats.log_dropped,
    ),
    _PROCESS.counter(
        "spans_exported",
        "Spans that the collector took.",
        lambda stats: stats.spans.exported,
    ),
    _PROCESS.counts(
        "spans_dropped",
        "reason",
        "Spans that were dropped, by reason.",
        lambda stats: stats.spans.dropped.copy(),
    ),
    _PROCESS.counts(
        "span_exports_failed",
        "reason",
        "Requests to the collector that failed, by its status or our error code.",
        lambda stats: stats.spans.failed.copy(),
    ),
    _PROCESS.counter(
        "log_dropped",
        "Lines of the sidecar's own log that were dropped.",
        lambda _: logs.dropped(),
    ),
    _PROCESS.counts(
        "out_of_resources",
        "for",
        "Connections refused or not made for want of descriptors, ports or memory.",
        lambda _: shortage.counts.copy(),
    ),
    _MEMORY.gauge(
        "request_buffer_bytes",
        "Memory that buffered request bodies take or have reserved.",
        lambda memory: memory.used,
    ),
    _MEMORY.gauge(
        "request_buffer_limit_bytes",
        "Memory that buffered request bodies may take.",
        lambda memory: memory.total,
    ),
    _MEMORY.gauge(
        "request_buffer_waiting",
        "Calls whose body waits for memory.",
        lambda memory: memory.waiting,
    ),
    _MEMORY.counter(
        "request_buffer_refused",
        "Calls refused because no memory for their body became free.",
        lambda memory: memory.refused,
    ),
)
