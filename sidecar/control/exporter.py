"""Renders the metrics for a scrape, in Prometheus' text format or OpenMetrics.

Only the admin server imports this, in its own thread and at the first scrape: prometheus_client
takes 1 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import CollectorRegistry
from prometheus_client.utils import floatToGoString

from sidecar.control.conventions import conventional
from sidecar.control.metrics import METRICS
from sidecar.control.metrics.family import Metric
from sidecar.observe.histogram import Histogram
from sidecar.observe.stats import Stats


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

    def collect(self) -> Iterator[Family]:
        for metric in METRICS:
            yield _family(f"sidecar_{metric.name}", metric, self._stats)
        if self._stats.conventions is not None:
            for metric in conventional(self._stats.conventions.names):
                yield _family(metric.name, metric, self._stats)


def _family(name: str, metric: Metric, stats: Stats) -> Family:
    if metric.kind == "histogram":
        histograms = HistogramMetricFamily(name, metric.help, labels=metric.labels)
        for labels, value in metric.read(stats):
            assert isinstance(value, Histogram)
            bounds = (*map(floatToGoString, value.bounds), "+Inf")
            total, counts = value.total, accumulate(value.counts.copy())
            histograms.add_metric(labels, list(zip(bounds, counts, strict=True)), total)
        return histograms
    make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = make(name, metric.help, labels=metric.labels)
    for labels, value in metric.read(stats):
        assert not isinstance(value, Histogram)
        family.add_metric(labels, float(value))
    return family
