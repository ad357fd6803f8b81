"""The picture: how long calls take, and how many go well while an endpoint restarts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log10
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.contenders import DIRECT, REFERENCE, SIDECAR
from bench.resilience.client import Outcome
from bench.resilience.scenario import RESTART, Plan
from bench.resilience.summary import Run, curve, success_over_time

_COLORS: Final = {DIRECT: "#7c8aa0", REFERENCE: "#1d4ed8", SIDECAR: "#c2410c"}
_NAMES: Final = {DIRECT: "direct", REFERENCE: "Envoy", SIDECAR: "sidecar"}
_SHARES: Final = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999)
_TOP: Final = 0.9999
_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0)
_BINS: Final = 30
_FLOOR: Final = 50  # per cent, where the strips begin
_INK, _GRID, _SHADE = "#1e293b", "#e2e8f0", "#fef3c7"
_STYLE: Final = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#94a3b8",
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _GRID,
}


def draw(path: Path, plan: Plan, runs: Mapping[str, Sequence[Run]]) -> None:
    """Write the PNG, the outcomes of all seeds together."""
    pooled = {
        name: [outcome for run in runs[name] for outcome in run.outcomes]
        for name in _COLORS
        if name in runs
    }
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(10.5, 5.2), dpi=144, layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=(1.2, 1), wspace=0.03)
        _latencies(left.subplots(), pooled)
        strips = right.subplots(len(pooled), 1, sharex=True, sharey=True, squeeze=False)
        _over_time(strips[:, 0], plan, pooled)
        figure.savefig(path)


def _stretched(share: float) -> float:
    """Give each further nine of a share as much room as the one before."""
    return -log10(1 - min(share, _TOP))


def _latencies(axes: Any, pooled: Mapping[str, Sequence[Outcome]]) -> None:
    axes.set_title("Share of all calls answered well within a time")
    for name, outcomes in pooled.items():
        points = curve(outcomes)
        end = (max(points[-1][0], _SECONDS[-1]), points[-1][1])  # failures never arrive
        axes.plot(
            [seconds for seconds, _ in [*points, end]],
            [_stretched(share) for _, share in [*points, end]],
            color=_COLORS[name],
            linewidth=2.2,
            label=f"{_NAMES[name]}: {100 * points[-1][1]:.2f} % in the end",
        )
    axes.set_xscale("log")
    axes.set_xlim(_SECONDS[0], _SECONDS[-1])
    axes.set_xticks(_SECONDS, [f"{1000 * s:.0f} ms" if s < 1 else f"{s:.0f} s" for s in _SECONDS])
    axes.set_xticks([], minor=True)
    axes.set_ylim(0, 1.02 * _stretched(_TOP))
    axes.set_yticks(list(map(_stretched, _SHARES)), [f"{100 * share:g} %" for share in _SHARES])
    axes.grid(visible=True)
    axes.legend(loc="upper left", frameon=True, framealpha=1, edgecolor=_GRID)


def _over_time(strips: Sequence[Any], plan: Plan, pooled: Mapping[str, Sequence[Outcome]]) -> None:
    width = plan.seconds / _BINS
    for axes, (name, outcomes) in zip(strips, pooled.items(), strict=True):
        shares = success_over_time(outcomes, plan.seconds, _BINS)
        axes.axvspan(*(share * plan.seconds for share in RESTART), color=_SHADE, linewidth=0)
        axes.bar(
            [i * width for i in range(_BINS)],
            [max(0.0, 100 * share - _FLOOR) for share in shares],
            width * 0.86,
            bottom=_FLOOR,
            align="edge",
            color=_COLORS[name],
        )
        worst = f"worst {width:.2g} s: {100 * min(shares):.0f} %"
        axes.set_title(f"{_NAMES[name]}, {worst}", fontsize=9.5, weight="normal", pad=4)
        axes.set_ylim(_FLOOR, 100)
        axes.set_yticks([50, 75, 100], ["50 %", "75 %", "100 %"])
        axes.grid(visible=True, axis="y")
    strips[0].figure.suptitle(
        "Calls that go well, over time (shaded: a restart)",
        x=0.02,
        ha="left",
        fontsize=11,
        weight="bold",
    )
    strips[-1].set_xlim(0, plan.seconds)
    strips[-1].set_xlabel("seconds after the start")
