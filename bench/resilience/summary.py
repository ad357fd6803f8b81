"""What a run's outcomes come to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Final, NamedTuple

from bench.load import percentile
from bench.resilience.client import Outcome


@dataclass(frozen=True)
class Run:
    """One contender under one seed."""

    outcomes: Sequence[Outcome]
    requests: int  # that reached the fleet

    @property
    def seconds(self) -> list[float]:
        """How long each call took, the failed ones too; in order."""
        return sorted(outcome.seconds for outcome in self.outcomes)

    @property
    def good(self) -> list[float]:
        """How long each call took that went well; in order."""
        return sorted(outcome.seconds for outcome in self.outcomes if not outcome.failure)

    @property
    def amplification(self) -> float:
        """Requests that reached the fleet for each call."""
        return self.requests / len(self.outcomes)


class Row(NamedTuple):
    """One figure of a run."""

    label: str
    unit: str
    digits: int
    value: Callable[[Run], float]


ROWS: Final = (
    Row("calls that went well", "%", 2, lambda run: 100 * len(run.good) / len(run.outcomes)),
    Row("mean, all calls", "ms", 0, lambda run: 1000 * fmean(run.seconds)),
    Row("mean, calls that went well", "ms", 0, lambda run: 1000 * fmean(run.good or [0.0])),
    Row("p50", "ms", 0, lambda run: 1000 * percentile(run.seconds, 0.50)),
    Row("p95", "ms", 0, lambda run: 1000 * percentile(run.seconds, 0.95)),
    Row("p99", "ms", 0, lambda run: 1000 * percentile(run.seconds, 0.99)),
    Row("requests at the fleet per call", "", 3, lambda run: run.amplification),
)


def show(row: Row, runs: Sequence[Run]) -> str:
    """The median over *runs*, and the range where there are several."""
    values = [row.value(run) for run in runs]
    low, middle, high = (f"{v:,.{row.digits}f}" for v in (min(values), median(values), max(values)))
    return middle if len(values) == 1 else f"{middle} ({low}-{high})"


def curve(outcomes: Sequence[Outcome]) -> list[tuple[float, float]]:
    """(seconds, share of all calls that went well within them), rising; failures never arrive."""
    good = sorted(outcome.seconds for outcome in outcomes if not outcome.failure)
    return [(seconds, (i + 1) / len(outcomes)) for i, seconds in enumerate(good)]


def success_over_time(outcomes: Sequence[Outcome], seconds: float, bins: int) -> list[float]:
    """The share that went well of the calls due in each of *bins* equal parts of *seconds*."""
    good, total = [0] * bins, [0] * bins
    for outcome in outcomes:
        at = min(bins - 1, int(outcome.due / seconds * bins))
        total[at] += 1
        good[at] += not outcome.failure
    return [g / t if t else 1.0 for g, t in zip(good, total, strict=True)]
