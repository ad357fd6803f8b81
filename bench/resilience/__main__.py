"""Measure how calls fare on a faulty fleet: `python -m bench.resilience --help`."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench import report
from bench.contenders import DIRECT, Contender, UnavailableError
from bench.process import LOAD_CORE
from bench.resilience import plot, scenario, storm, tables
from bench.resilience.arrivals import poisson
from bench.resilience.client import tell
from bench.resilience.measure import CONTENDERS, Load, measure
from bench.resilience.scenario import Plan
from bench.resilience.summary import Run

_ROOT: Final = Path(__file__).resolve().parents[2]
_QUICK: Final = Plan(seeds=1, seconds=15, storm_seconds=5)


def _arguments() -> argparse.Namespace:
    names = ",".join(contender.name for contender in CONTENDERS)
    parser = argparse.ArgumentParser(prog="python -m bench.resilience", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, 15 s for each contender")
    parser.add_argument("--seeds", type=int, metavar="N", help=f"seeds (default {Plan.seeds})")
    parser.add_argument(
        "--seconds", type=float, metavar="S", help=f"for each seed (default {Plan.seconds:.0f})"
    )
    parser.add_argument("--only", metavar="NAMES", help=f"comma-separated, of {names}")
    parser.add_argument("--no-storm", action="store_true", help="leave the failing service out")
    parser.add_argument("--write", action="store_true", help="also write docs/")
    arguments = parser.parse_args()
    unknown = set((arguments.only or names).split(",")) - set(names.split(","))
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {names}")
    if (arguments.seeds or 1) < 1 or (arguments.seconds or 1) < 1:
        parser.error("--seeds and --seconds must be at least 1")
    return arguments


class Session:
    """Every contender under every seed."""

    def __init__(self, contenders: Sequence[Contender], folder: Path, plan: Plan) -> None:
        self._contenders = list(contenders)
        self._folder = folder
        self._plan = plan
        self.runs: dict[str, list[Run]] = {}
        self.storms: dict[str, Run] = {}

    def fleets(self) -> None:
        """The faulty fleet: under a seed, all get the same calls and the same fates."""
        plan = self._plan
        for seed in range(1, plan.seeds + 1):
            load = Load(
                scenario.behaviours(plan.seconds, seed),
                poisson(plan.rate, plan.seconds, seed),
                plan.timeout,
            )
            for contender in list(self._contenders):
                print(f"seed {seed} of {plan.seeds}: {contender.name} ...", flush=True)
                run = self._one(contender, load, f"{contender.name}-{seed}")
                if run is not None:
                    self.runs.setdefault(contender.name, []).append(run)

    def storm(self) -> None:
        """The failing service."""
        plan = self._plan
        due = poisson(plan.storm_rate, plan.storm_seconds, seed=0)
        for contender in list(self._contenders):
            print(f"a failing service: {contender.name} ...", flush=True)
            load = Load(scenario.failing(), due, plan.timeout)
            if contender.name == DIRECT:
                load = replace(load, wrap=storm.stubborn)
            run = self._one(contender, load, f"{contender.name}-storm")
            if run is not None:
                self.storms[contender.name] = run

    def _one(self, contender: Contender, load: Load, folder: str) -> Run | None:
        try:
            run = measure(contender, self._folder / folder, load)
        except UnavailableError as error:
            print(f"  {contender.name} is left out: {error}", flush=True)
            self._contenders.remove(contender)
            return None
        print(f"  {tell(run.outcomes)}, {run.amplification:.3f} requests a call", flush=True)
        return run


def main() -> None:
    """Measure, print the tables, and write them where that was asked for."""
    arguments = _arguments()
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("two cores are needed: one for the proxy, one for the load")
    plan = _QUICK if arguments.quick else Plan()
    plan = replace(
        plan,
        seeds=arguments.seeds or plan.seeds,
        seconds=arguments.seconds or plan.seconds,
    )
    chosen = [c for c in CONTENDERS if c.name in (arguments.only or c.name).split(",")]
    os.sched_setaffinity(0, {LOAD_CORE})
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        session = Session(chosen, Path(folder), plan)
        session.fleets()
        if not arguments.no_storm:
            session.storm()
    if not session.runs:
        raise SystemExit("nothing could be measured")
    _publish(plan, session, write=arguments.write)


def _publish(plan: Plan, session: Session, *, write: bool) -> None:
    build = _ROOT / ".build"
    raw = {name: [(run.requests, run.outcomes) for run in r] for name, r in session.runs.items()}
    (build / "resilience.json").write_text(json.dumps(raw), "utf-8")
    text = tables.text(plan, session.runs, session.storms)
    print(f"\n{text}")
    plot.draw(build / "resilience.png", plan, session.runs)
    if write:
        report.write(_ROOT / "docs" / "benchmarks.md", "bench.resilience", text)
        plot.draw(_ROOT / "docs" / "resilience.png", plan, session.runs)


if __name__ == "__main__":
    main()
