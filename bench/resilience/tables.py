"""The tables of the faulty fleet and the failing service, as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from bench import report
from bench.contenders import DIRECT, SIDECAR
from bench.resilience import storm
from bench.resilience.scenario import FAILING, Plan, behaviours
from bench.resilience.summary import ROWS, Run, show

Runs = Mapping[str, Sequence[Run]]
"""One run a seed, for each contender."""

_STUBBORN: Final = f"{DIRECT}, {storm.TRIES - 1} retries {storm.WAIT * 1000:.0f} ms apart"


def text(plan: Plan, runs: Runs, storms: Mapping[str, Run]) -> str:
    """All that `--write` puts into docs/benchmarks.md."""
    parts = [_about(plan, runs), _fleet_table(runs), "### The fleet", _settings(plan)]
    if storms:
        parts += ["### A failing service", _storm_about(plan), _storm_table(plan, storms)]
    return "\n\n".join(parts)


def _about(plan: Plan, runs: Runs) -> str:
    versions = ", ".join(filter(None, map(report.version_of, runs)))
    calls = sum(len(run.outcomes) for run in next(iter(runs.values())))
    seeds = f"each of {plan.seeds} seeds; shown are the median and the range"
    return (
        f"{calls:,} calls for each contender: {plan.rate:.0f} a second for {plan.seconds:.0f} s "
        f"under {'one seed' if plan.seeds == 1 else seeds}. On {report.machine()}; {versions}."
    )


def _fleet_table(runs: Runs) -> str:
    rows = [
        [
            f"{row.label}, {row.unit}" if row.unit else row.label,
            *(show(row, r) for r in runs.values()),
        ]
        for row in ROWS
    ]
    rows.append(["failed calls", *map(_failures, runs.values())])
    return report.table(["", *runs], rows)


def _failures(runs: Sequence[Run]) -> str:
    causes = Counter(each.failure for run in runs for each in run.outcomes if each.failure)
    return ", ".join(f"{cause}: {count}" for cause, count in causes.most_common()) or "none"


def _settings(plan: Plan) -> str:
    fleet = behaviours(plan.seconds, seed=1)
    return "\n".join(["```text", *(f"sim-{i}  {each}" for i, each in enumerate(fleet)), "```"])


def _storm_about(plan: Plan) -> str:
    return (
        f"Every endpoint answers every call with 503 (`{FAILING}`) for {plan.storm_seconds:.0f} s, "
        f"in which {plan.storm_rate:.0f} calls a second come."
    )


def _storm_table(plan: Plan, storms: Mapping[str, Run]) -> str:
    rows = []
    for name, run in storms.items():
        most = _most(name, len(run.outcomes), plan.storm_seconds)
        label = _STUBBORN if name == DIRECT else name
        counts = [f"{len(run.outcomes):,}", f"{run.requests:,}", f"{run.amplification:.2f}"]
        rows.append([label, *counts, most])
    return report.table(["", "calls", "requests at the fleet", "per call", "at most"], rows)


def _most(name: str, calls: int, seconds: float) -> str:
    """The requests per call that the policy allows; Envoy's budget does not count calls."""
    if name == SIDECAR:
        return f"{storm.allowed(calls, seconds):.2f}"
    return f"{storm.TRIES:.2f}" if name == DIRECT else "-"
