"""What was measured, for people (closing lines of the run) and for programs (a JSON file)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

_measured: dict[str, dict[str, float]] = {}


def add(name: str, seconds: Sequence[float]) -> None:
    """Record a series of durations under *name*: its count, median and 99th percentile."""
    ordered = sorted(seconds)
    _measured[name] = {
        "count": len(ordered),
        "p50_us": round(_quantile(ordered, 0.50) * 1e6, 1),
        "p99_us": round(_quantile(ordered, 0.99) * 1e6, 1),
    }


def show(line: Callable[[str], None], path: Path) -> None:
    """Print what was recorded with *line*, and write it to *path* as JSON."""
    if not _measured:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_measured, indent=2) + "\n")
    line("")
    line(f"{'delay of a streamed chunk, us':<40}{'chunks':>8}{'p50':>10}{'p99':>10}")
    for name, row in _measured.items():
        line(f"{name:<40}{row['count']:>8.0f}{row['p50_us']:>10.1f}{row['p99_us']:>10.1f}")


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
