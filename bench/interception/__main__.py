"""Measure interception: `python -m bench.interception [--rounds N] [--write]`."""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from bench import contenders, report
from bench.fleet import certificates
from bench.load import run_module
from bench.process import LOAD_CORE, Process


class Row(NamedTuple):
    """A measure, and the programs that are compared by it."""

    name: str
    kind: str
    unit: str
    names: tuple[str, ...]
    scale: float
    """From CPU seconds for one of what is counted to the unit."""


_TLS: Final = ("sidecar", "envoy")
_TCP: Final = ("sidecar", "haproxy")
_ROWS: Final = (
    Row("CPU per intercepted call", "calls", "µs", _TLS, 1e6),
    Row("CPU per new TLS connection and a call", "handshakes", "µs", _TLS, 1e6),
    Row("CPU per GiB passed through", "large", "ms", _TCP, 1e3),
    Row("CPU per 100 bytes there and back, passed through", "trips", "µs", _TCP, 1e6),
    Row("resident memory per idle connection passed through", "idle", "KiB", _TCP, 1 / 1024),
)


class Setup(NamedTuple):
    """What serves behind, and the folder with the certificates."""

    folder: Path
    secure: int
    plain: int
    echo: int


def main() -> None:
    """Measure all rows, print them, and write them where that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.interception", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--write", action="store_true", help="also write docs/benchmarks.md")
    arguments = parser.parse_args()
    found: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name, _origin(Path(name)) as setup:
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds} ...", flush=True)
            for row in _ROWS:
                for program in row.names:
                    found.setdefault((row.name, program), []).append(_measure(row, program, setup))
    text = _table(found)
    print(f"\n{text}")
    if arguments.write:
        report.write(contenders.ROOT / "docs" / "benchmarks.md", "bench.interception", text)


@contextmanager
def _origin(folder: Path) -> Iterator[Setup]:
    certificates(folder)
    (folder / "leaf.pem").write_bytes((folder / "llm.bench.pem").read_bytes())
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "bench.interception.origin"]
    with subprocess.Popen(
        [*command, str(folder / "localhost.pem")], stdout=subprocess.PIPE, text=True
    ) as serving:
        assert serving.stdout is not None
        try:
            yield Setup(folder, *map(int, serving.stdout.readline().split()))
        finally:
            serving.terminate()


def _measure(row: Row, program: str, setup: Setup) -> float:
    behind = {"calls": setup.secure, "handshakes": setup.secure, "large": setup.plain}
    behind_port = behind.get(row.kind, setup.echo)
    port = contenders.free_port()
    place = contenders.Place(setup.folder, port, [behind_port])
    with Process(_command(program, place), setup.folder / f"{program}.log") as process:
        _await(process, port)
        target = (
            "llm.bench:443" if row.kind in ("calls", "handshakes") else f"localhost:{behind_port}"
        )
        target = target if program == "sidecar" else "-"
        if row.kind == "idle":
            return _memory(process, port, target) * row.scale
        load = ("interception.load", row.kind, port, target, setup.folder / "ca.crt")
        run_module(*load)  # what is loaded, made or learned once, then is
        before = process.cpu_ns()
        done = run_module(*load)
        used = (process.cpu_ns() - before) / 1e9
        return used / float(done["count"]) * row.scale


def _memory(process: Process, port: int, target: str) -> float:
    """Bytes for each of the idle connections."""
    run_module("interception.load", "trips", port, target)  # what is used at all is loaded then
    before = process.memory().rss
    command = [sys.executable, "-m", "bench.interception.load", "idle", str(port), target]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as resting:
        assert resting.stdout is not None
        if resting.stdout.readline() != "resting\n":
            raise SystemExit("the connections could not be made")
        time.sleep(0.5)
        held = process.memory().rss - before
        resting.communicate("\n")
    return held / 1000


def _command(program: str, place: contenders.Place) -> list[str]:
    if program == "sidecar":
        return contenders.sidecar(place, "intercept.yaml")
    if program == "haproxy":
        tool = contenders.tool("haproxy")
        return [tool, "-db", "-f", str(place.config("haproxy-tcp.cfg"))]
    return contenders.envoy(place, "envoy-tls.yaml")


def _await(process: Process, port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end and not process.ended:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"it does not start: {process.last_words()}")


def _table(found: dict[tuple[str, str], list[float]]) -> str:
    rows: list[Sequence[str]] = []
    for row in _ROWS:
        ours, theirs = (median(found[row.name, program]) for program in row.names)
        peer = row.names[1]
        cells = (f"{ours:,.1f}", f"{theirs:,.1f} ({peer})", f"**{ours / theirs:.2f}**")
        rows.append((row.name, row.unit, *cells))
    rounds = len(next(iter(found.values())))
    about = f"Rounds: {rounds}, on {report.machine()}. Medians; less is better."
    return f"{about}\n\n{report.table(['', 'unit', 'sidecar', 'peer', 'ratio'], rows)}"


if __name__ == "__main__":
    main()
