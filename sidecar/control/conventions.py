"""The metrics that have the names of the conventions for generative AI, as Prometheus spells them.

The labels are the attributes: `gen_ai.request.model` is `gen_ai_request_model`. One that does not
apply is empty, which Prometheus takes for absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from sidecar.control.metrics.family import Labels, Metric, Sample
from sidecar.observe import semconv
from sidecar.observe.conventions import Attributes, Operations
from sidecar.observe.histogram import Histogram
from sidecar.observe.semconv import Names, prometheus_name
from sidecar.observe.stats import Stats

Number = float | Histogram


def _label(attribute: str) -> str:
    return attribute.replace(".", "_")


_LABELS: Final = tuple(
    map(
        _label,
        (
            semconv.OPERATION,
            semconv.PROVIDER,
            semconv.REQUEST_MODEL,
            semconv.RESPONSE_MODEL,
            semconv.SERVER_ADDRESS,
            semconv.SERVER_PORT,
        ),
    )
)
_DURATION: Final = "Time from a call's head to its end."
_TOKENS: Final = "Tokens that one call read or made."
_USAGE: Final = {
    "input": "Input tokens, cached ones included.",
    "output": "Output tokens, reasoning included.",
    "cached": "Input tokens that were read from the provider's cache.",
    "cache_write": "Input tokens that were written to the provider's cache.",
    "reasoning": "Output tokens that are reasoning.",
}


def conventional(names: Names) -> Iterator[Metric]:
    """Yield the metrics of one version."""
    yield from _durations(names)
    yield _seconds(
        names.first_chunk,
        "Time from a call's head to the first content of its stream, if that ended well.",
        lambda each: each.first_chunk,
    )
    yield _seconds(
        names.per_chunk,
        "Time between pieces of the answer: each stream's mean, once for each piece.",
        lambda each: each.chunk,
    )
    yield Metric(
        "histogram",
        prometheus_name(names.one_usage, "{token}"),
        _TOKENS,
        (*_LABELS, _label(semconv.KIND)),
        _reader(_tokens, embeds=True if names.usage else None),
    )
    for kind, name in names.usage.items():
        yield Metric(
            "counter",
            prometheus_name(name, "{token}"),
            _USAGE[kind],
            (*_LABELS, _label(semconv.MODALITY)),
            _reader(_counter(kind), embeds=False),
        )
    for kind, name in names.tokens.items():
        yield Metric(
            "histogram",
            prometheus_name(name, "{token}"),
            _TOKENS,
            _LABELS,
            _reader(_histogram(kind), embeds=False),
        )


def _durations(names: Names) -> Iterator[Metric]:
    labels = (*_LABELS, _label(semconv.ERROR_TYPE))
    alike = names.duration == names.other_duration
    for name, embeds in ((names.duration, False), (names.other_duration, True)):
        if alike and embeds:
            return
        reader = _reader(_of_durations, embeds=None if alike else embeds)
        yield Metric("histogram", prometheus_name(name, "s"), _DURATION, labels, reader)


def _seconds(name: str, help_: str, of: Callable[[Operations], Histogram]) -> Metric:
    def read(each: Operations) -> Mapping[Labels, Number]:
        return _filled({(): of(each)})

    return Metric("histogram", prometheus_name(name, "s"), help_, _LABELS, _reader(read))


def _of_durations(each: Operations) -> Mapping[Labels, Number]:
    return {(error,): durations for error, durations in dict(each.durations).items()}


def _tokens(each: Operations) -> Mapping[Labels, Number]:
    return _filled({(kind,): counts for kind, counts in each.tokens.items()})


def _histogram(kind: str) -> Callable[[Operations], Mapping[Labels, Number]]:
    return lambda each: _filled({(): each.tokens[kind]})


def _counter(kind: str) -> Callable[[Operations], Mapping[Labels, Number]]:
    """Of no known modality: few providers break their usage down."""
    return lambda each: {("unknown",): each.usage[kind]}


def _filled(histograms: Mapping[Labels, Histogram]) -> Mapping[Labels, Number]:
    """Leave out what does not apply: embeddings have no chunks, and many replies no usage."""
    return {labels: each for labels, each in histograms.items() if any(each.counts)}


def _reader(
    values: Callable[[Operations], Mapping[Labels, Number]], *, embeds: bool | None = None
) -> Callable[[Stats], Iterable[Sample]]:
    """*embeds*: only embeddings, or all but them; None: all."""

    def read(stats: Stats) -> Iterator[Sample]:
        for attributes, each in _series(stats):
            if embeds is None or attributes.embeds == embeds:
                for labels, value in values(each).items():
                    yield (*attributes, *labels), value

    return read


def _series(stats: Stats) -> Iterable[tuple[Attributes, Operations]]:
    return [] if stats.conventions is None else dict(stats.conventions.series).items()
