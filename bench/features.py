"""What each feature costs a call: `.build/bench-venv/bin/python -m bench.features`.

The same calls, with a provider's heads, go through sidecars that differ in one setting. Each round
begins with another one. The figure is CPU time of the sidecar for each call, and its ratio to that
of the sidecar with the defaults in the same round.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Final

from bench import report, wrk
from bench.contenders import Contender, Place, free_port, sidecar, started
from bench.fleet import Fleet, upstreams
from bench.measure import CONNECTIONS
from bench.process import LOAD_CORE, Process

_ROOT: Final = Path(__file__).resolve().parents[1]
_DEFAULTS: Final = "the defaults"
_SHAPE: Final = "shape: {max_tokens: {cap: 512}, temperature: {max: 1}, trim_system: true}"
_FEATURES: Final[Mapping[str, str]] = {
    _DEFAULTS: "",
    "`read: false`": "read: false",
    "`single_flight`, which all join": "single_flight: {}",
    "`cache`, and each call is a hit": "cache: {}\n    cache_key: {when: always}",
    "`rules`, none of which matches": "rules: [{name: hi, exact: [hi], answer: hello}]",
    "`shape`: a cap, a bound, the system prompt": _SHAPE,
    "`redact`": "redact: {}",
    "`comments`": "comments: 15s",
    "`limits.tokens`": "limits: {tokens: {total: 100000000000}}",
    "`hedge`": "hedge: {}",
}
"""By what is set: the lines of the default policy."""


def _contender(lines: str) -> Contender:
    def command(place: Place) -> list[str]:
        argv = sidecar(place)
        file = place.folder / "sidecar.yaml"
        text = file.read_text("utf-8")
        file.write_text(text.replace("  default:\n", f"  default:\n    {lines}\n"), "utf-8")
        return argv

    return Contender("sidecar", command)


def _cost(lines: str, folder: Path, fleet: Fleet, scripts: wrk.Scripts, seconds: int) -> float:
    """Microseconds of CPU for each call."""
    folder.mkdir()
    place = Place(folder, free_port(), fleet.plain)
    with started(_contender(lines), place) as (process, _):
        script = scripts[wrk.PROVIDER]
        wrk.saturate(script, place.port, CONNECTIONS, 1)
        return _spent(process, script, place.port, seconds)


def _spent(process: Process, script: Path, port: int, seconds: int) -> float:
    before = process.cpu_ns()
    load = wrk.saturate(script, port, CONNECTIONS, seconds)
    return (process.cpu_ns() - before) / load["calls"] / 1e3


def _measure(rounds: int, seconds: int) -> dict[str, list[float]]:
    costs: dict[str, list[float]] = {name: [] for name in _FEATURES}
    names = list(_FEATURES)
    with tempfile.TemporaryDirectory(prefix="bench-") as where:
        folder = Path(where)
        scripts = wrk.write_scripts(folder)
        with upstreams(folder) as fleet:
            for number in range(rounds):
                turn = number % len(names)
                for name in names[turn:] + names[:turn]:
                    place = folder / f"{number}-{names.index(name)}"
                    cost = _cost(_FEATURES[name], place, fleet, scripts, seconds)
                    costs[name].append(cost)
                    print(f"round {number + 1} of {rounds}: {name}: {cost:.1f} µs", flush=True)
                    time.sleep(0.1)
    return costs


def _text(costs: dict[str, list[float]]) -> str:
    usual = costs[_DEFAULTS]
    rows = []
    for name, each in costs.items():
        ratios = [one / base for one, base in zip(each, usual, strict=True)]
        spread = f"**{median(ratios):.2f}** ({min(ratios):.2f}-{max(ratios):.2f})"
        rows.append([name, f"{median(each):.1f}", spread])
    head = f"{len(usual)} rounds on {report.machine()}. CPU time of a call whose body has 0.9 KB."
    return f"{head}\n\n{report.table(['setting', 'µs a call', 'the defaults = 1'], rows)}"


def main() -> None:
    """Measure, print the table, and write it where that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.features", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of load, for each")
    parser.add_argument("--write", action="store_true", help="also write docs/benchmarks.md")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    text = _text(_measure(arguments.rounds, arguments.seconds))
    print(f"\n{text}")
    if arguments.write:
        report.write(_ROOT / "docs" / "benchmarks.md", "bench.features", text)


if __name__ == "__main__":
    main()
