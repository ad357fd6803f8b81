"""Compare the sidecar with other proxies: `python -m bench --help`."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench import chart, report, wrk
from bench.contenders import ALL, Contender, UnavailableError
from bench.fleet import Fleet, upstreams
from bench.load import LoadError
from bench.measure import QUICK, Plan, Sample, measure

_ROOT: Final = Path(__file__).resolve().parent.parent


def _arguments() -> argparse.Namespace:
    names = ",".join(contender.name for contender in ALL)
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, about a minute")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds (default 5)")
    parser.add_argument("--only", metavar="NAMES", help=f"comma-separated, of {names}")
    parser.add_argument(
        "--write", action="store_true", help="also write README.md and docs/benchmarks.md"
    )
    arguments = parser.parse_args()
    unknown = set((arguments.only or "").split(",")) - {"", *names.split(",")}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {names}")
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    return arguments


class Run:
    """Every round of every contender that can be had."""

    def __init__(self, contenders: Sequence[Contender], folder: Path, plan: Plan) -> None:
        self.contenders = list(contenders)
        self.folder = folder
        self.plan = plan
        self.rounds: list[dict[str, Sample]] = []

    def run(self, count: int) -> None:
        """Measure *count* rounds; each begins with another contender."""
        scripts = wrk.write_scripts(self.folder)
        with upstreams(self.folder) as fleet:
            for number in range(count):
                samples: dict[str, Sample] = {}
                self.rounds.append(samples)
                here = [one for one in self.contenders if not (one.once and number)]
                turn = number % max(1, len(here))
                for contender in here[turn:] + here[:turn]:
                    print(f"round {number + 1} of {count}: {contender.name} ...", flush=True)
                    self._one(contender, fleet, scripts, samples)

    def _one(
        self, contender: Contender, fleet: Fleet, scripts: wrk.Scripts, samples: dict[str, Sample]
    ) -> None:
        folder = self.folder / f"{contender.name}-{len(self.rounds)}"
        try:
            sample = measure(contender, folder, fleet, scripts, self.plan)
        except (UnavailableError, LoadError) as error:
            print(f"  {contender.name} is left out: {error}", flush=True)
            self.contenders.remove(contender)
            return
        samples[contender.name] = sample
        cpu = sample.get("cpu_call_us")
        cost = f", {cpu:.1f} µs of CPU a call" if cpu is not None else ""
        print(f"  {sample['call_per_s']:,.0f} calls/s{cost}", flush=True)


def main() -> None:
    """Run the comparison, print its tables, and write them where that was asked for."""
    arguments = _arguments()
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("two cores are needed: one for the proxy, one for the load")
    chosen = arguments.only.split(",") if arguments.only else [one.name for one in ALL]
    contenders = [one for one in ALL if one.name in chosen]
    count = arguments.rounds or (1 if arguments.quick else 5)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        run = Run(contenders, Path(folder), QUICK if arguments.quick else Plan())
        run.run(count)
    names = [one.name for one in contenders if any(one.name in each for each in run.rounds)]
    if not names:
        raise SystemExit("nothing could be measured")
    _publish(run.rounds, names, write=arguments.write)


def _publish(rounds: list[dict[str, Sample]], names: list[str], *, write: bool) -> None:
    build = _ROOT / ".build"
    build.mkdir(exist_ok=True)
    (build / "bench.json").write_text(json.dumps(rounds, indent=1), "utf-8")
    text = report.tables(rounds, names)
    print(f"\n{text}")
    if write:
        report.write(_ROOT / "README.md", "bench", report.summary(rounds))
        report.write(_ROOT / "docs" / "benchmarks.md", "bench", text)
        (_ROOT / "docs" / "benchmarks.svg").write_text(chart.svg(rounds, names), "utf-8")


if __name__ == "__main__":
    main()
