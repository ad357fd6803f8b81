"""From samples to numbers: what is measured, medians, ratios to the reference in the same round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench.contenders import DIRECT, REFERENCE
from bench.measure import RATE, Sample

# One mapping a round: contender -> what was measured.
Rounds = Sequence[Mapping[str, Sample]]


@dataclass(frozen=True)
class Measure:
    """One row of the tables."""

    key: str
    label: str
    unit: str
    scale: float = 1.0  # what a value is multiplied with for display
    digits: int = 0
    added: str | None = None  # the key from which what is direct's is taken away
    aim: float | None = None  # the most that the sidecar is to come to, where the reference is 1

    def value(self, name: str, samples: Mapping[str, Sample]) -> float | None:
        """The value of contender *name* in one round; None where it was not measured."""
        if self.added is None:
            return samples[name].get(self.key) if name in samples else None
        if name == DIRECT or DIRECT not in samples or name not in samples:
            return None
        own, direct = samples[name].get(self.added), samples[DIRECT].get(self.added)
        return None if own is None or direct is None else own - direct


_MIB: Final = 2.0**-20
MEASURES: Final = (
    Measure("cpu_call_us", "CPU per call, provider traffic", "µs", digits=1, aim=0.8),
    Measure("cpu_plain_us", "CPU per call, plain traffic", "µs", digits=1, aim=0.75),
    Measure("cpu_call_fixed_us", f"CPU per call at {RATE:,.0f} calls/s", "µs", digits=1),
    Measure("cpu_tls_us", "CPU per call, TLS to the endpoints", "µs", digits=1, aim=0.9),
    Measure("cpu_new_us", "CPU per call, a new TLS connection for each", "µs", aim=1.3),
    Measure("cpu_step_us", "CPU per streamed chunk, in steps", "µs", digits=1, aim=0.7),
    Measure("cpu_chunk_us", "CPU per streamed chunk, one at a time", "µs", digits=1, aim=0.8),
    Measure("cpu_gib_ms", "CPU per GiB of a large reply", "ms"),
    Measure("call_per_s", "throughput, provider traffic *", "calls/s"),
    Measure("plain_per_s", "throughput, plain traffic *", "calls/s"),
    Measure("tls_per_s", "throughput, TLS to the endpoints *", "calls/s"),
    Measure("new_per_s", "throughput, a new TLS connection for each call *", "calls/s"),
    Measure("large_gib_per_s", "throughput, large reply *", "GiB/s", digits=2),
    Measure("fixed_p50_us", f"latency p50 at {RATE:,.0f} calls/s", "µs"),
    Measure("fixed_p99_us", f"latency p99 at {RATE:,.0f} calls/s", "µs"),
    Measure("call_p50_us", "latency p50, provider traffic, saturated", "µs"),
    Measure("call_p99_us", "latency p99, provider traffic, saturated", "µs", aim=1.0),
    Measure("plain_p50_us", "latency p50, plain traffic, saturated", "µs"),
    Measure("plain_p99_us", "latency p99, plain traffic, saturated", "µs", aim=1.0),
    Measure("tls_p99_us", "latency p99, TLS to the endpoints, saturated", "µs"),
    Measure("one_p50_us", "latency p50, one connection", "µs"),
    Measure("one_p99_us", "latency p99, one connection", "µs"),
    Measure("added_step_p50", "added delay per chunk in steps, p50", "µs", added="step_p50_us"),
    Measure("added_step_p99", "added delay per chunk in steps, p99", "µs", added="step_p99_us"),
    Measure("added_chunk_p50", "added delay per chunk, p50", "µs", added="chunk_p50_us"),
    Measure("added_chunk_p99", "added delay per chunk, p99", "µs", added="chunk_p99_us"),
    Measure("chunks_alone", "chunks that arrived alone *", "%", 100),
    Measure("rss_idle", "resident memory, idle", "MiB", _MIB, 1),
    Measure("rss_loaded", "resident memory after load", "MiB", _MIB, 1, aim=0.6),
    Measure("pss_loaded", "proportional memory (Pss) after load", "MiB", _MIB, 1),
    Measure("anonymous_loaded", "anonymous memory after load", "MiB", _MIB, 1),
    Measure("ready_s", "start to first call", "s", digits=3),
)


@dataclass(frozen=True)
class Ratio:
    """Median and range of a contender's value over the reference's in the same round."""

    median: float
    low: float
    high: float


def raw(measure: Measure, name: str, rounds: Rounds) -> float | None:
    """The median over the rounds, in the unit of display."""
    values = [value for samples in rounds if (value := measure.value(name, samples)) is not None]
    return median(values) * measure.scale if values else None


def ratio(measure: Measure, name: str, rounds: Rounds, reference: str = REFERENCE) -> Ratio | None:
    """*name* against *reference*, round by round; None without a round that has both."""
    ratios = []
    for samples in rounds:
        own, other = measure.value(name, samples), measure.value(reference, samples)
        if own is not None and other is not None and other > 0:
            ratios.append(own / other)
    return Ratio(median(ratios), min(ratios), max(ratios)) if ratios else None


def others(rounds: Rounds, pick: Callable[[Sequence[float]], float]) -> float:
    """How much of the proxy's core others used: *pick* (median, max) over all samples."""
    return pick([sample["others_share"] for samples in rounds for sample in samples.values()])
