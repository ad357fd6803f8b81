"""What a metric is, and how the metrics of one kind of objects are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, Literal, NamedTuple, TypeVar

from sidecar.observe.histogram import Histogram
from sidecar.observe.stats import Stats

T = TypeVar("T")
Labels = tuple[str, ...]
Sample = tuple[Labels, float | Histogram]
Counts = Mapping[str, int] | Mapping[int, int]


class Metric(NamedTuple):
    """One metric. A counter's full name ends with `_total`, and our own begin with `sidecar_`."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    help: str
    labels: Labels
    read: Callable[[Stats], Iterable[Sample]]
    """Yields the values of the labels, and the number under them."""


class MetricsOf(Generic[T]):
    """Makes the metrics of one kind of objects, which have *labels* in common."""

    def __init__(self, labels: Labels, objects: Callable[[Stats], Iterable[tuple[Labels, T]]]):
        self._labels = labels
        self._objects = objects

    def counter(self, name: str, help_: str, value: Callable[[T], float]) -> Metric:
        """Make a counter."""
        return Metric("counter", name, help_, self._labels, self._each(value))

    def gauge(self, name: str, help_: str, value: Callable[[T], float]) -> Metric:
        """Make a gauge."""
        return Metric("gauge", name, help_, self._labels, self._each(value))

    def histogram(self, name: str, help_: str, value: Callable[[T], Histogram]) -> Metric:
        """Make a histogram."""
        return Metric("histogram", name, help_, self._labels, self._each(value))

    def counts(self, name: str, label: str, help_: str, counts: Callable[[T], Counts]) -> Metric:
        """Make a counter with one more *label*, whose values are the keys of a mapping."""
        return Metric("counter", name, help_, (*self._labels, label), self._every(counts))

    def histograms(
        self, name: str, label: str, help_: str, of: Callable[[T], Mapping[str, Histogram]]
    ) -> Metric:
        """Make histograms with one more *label*, whose values are the keys of a mapping."""
        return Metric("histogram", name, help_, (*self._labels, label), self._every(of))

    def gauges(
        self, name: str, labels: Labels, help_: str, values: Callable[[T], Mapping[Labels, float]]
    ) -> Metric:
        """Make a gauge with more *labels*, whose values are the keys of a mapping."""
        return Metric("gauge", name, help_, (*self._labels, *labels), self._every(values))

    def info(self, name: str, help_: str, **labels: Callable[[T], str]) -> Metric:
        """Make a gauge of 1 whose labels are the news (an OpenMetrics Info reads the same)."""

        def values(of: T) -> Mapping[Labels, float]:
            return {tuple(value(of) for value in labels.values()): 1.0}

        return self.gauges(name, tuple(labels), help_, values)

    def _each(self, value: Callable[[T], float | Histogram]) -> Callable[[Stats], Iterable[Sample]]:
        return lambda stats: [(labels, value(of)) for labels, of in self._objects(stats)]

    def _every(
        self, values: Callable[[T], Counts | Mapping[Labels, float] | Mapping[str, Histogram]]
    ) -> Callable[[Stats], Iterable[Sample]]:
        def read(stats: Stats) -> Iterable[Sample]:
            for labels, of in self._objects(stats):
                for key, value in dict(values(of)).items():
                    more = key if isinstance(key, tuple) else (str(key),)
                    yield (*labels, *more), value

        return read
