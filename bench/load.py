"""What the load generators share: percentiles and running a generator on its core."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Final

from bench.process import LOAD_CORE

_GRACE: Final = 120.0


class LoadError(Exception):
    """A load generator could not measure: the proxy answered wrongly, or not in time."""


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which *share* (0 to 1) of *ordered* lies (nearest rank)."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def run(argv: Sequence[str]) -> dict[str, Any]:
    """Run *argv* on the load's core; its last line of output is a JSON object."""
    command = ["taskset", "-c", str(LOAD_CORE), *argv]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GRACE, check=False)
    except subprocess.TimeoutExpired as error:
        raise LoadError(f"{argv[0]} did not end in {_GRACE:.0f} s") from error
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        problem = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise LoadError(problem[-1] if problem else f"exit code {done.returncode}")
    result: dict[str, Any] = json.loads(lines[-1])
    return result


def run_module(name: str, *arguments: object) -> dict[str, Any]:
    """Run the generator `bench.NAME` with positional *arguments*."""
    return run([sys.executable, "-m", f"bench.{name}", *map(str, arguments)])
