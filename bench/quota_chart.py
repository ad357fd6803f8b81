"""A picture of 50 sidecars at one quota, as an SVG: what is answered and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from html import escape
from typing import Final

from bench.quota import PHASE, Alone, Client, Deaf, Divided, Fleet, Paced

LIMITS: Final = {"requests": 600.0, "tokens": 900_000.0}
SIDES: Final = 50
CONTENDERS: Final[tuple[tuple[str, Callable[[], Client]], ...]] = (
    ("paced by the levels that replies tell", Paced),
    ("paced by refusals only", Deaf),
    ("each has a fiftieth (a local rate limit)", Divided),
    ("each waits as long as a refusal says", Alone),
)
_PHASES: Final = 3
_STEP: Final = 5.0
"""Seconds for each bar."""
_WIDTH, _HEIGHT, _TITLE = 720.0, 96.0, 40.0
_MOST: Final = 30.0
"""Calls a second at a panel's upper end. More are cut off."""
_ANSWERED, _REFUSED, _LINE = "#15803d", "#c2410c", "#475569"


def svg(contenders: Sequence[tuple[str, Callable[[], Client]]] = CONTENDERS, seed: int = 1) -> str:
    """Draw a panel for each contender."""
    parts = ['<rect width="100%" height="100%" fill="white"/>']
    for number, (name, make) in enumerate(contenders):
        fleet = Fleet(seed, make, SIDES, LIMITS, 3.0)
        result = fleet.run(_PHASES)
        top = number * (_TITLE + _HEIGHT) + _TITLE
        told = f"{name}: {result.share:.1%} used, {result.refused:.1%} refused"
        parts.append(f'<text x="0" y="{top - 12:.0f}" font-weight="bold">{escape(told)}</text>')
        parts += _panel(fleet, top)
    height = len(contenders) * (_TITLE + _HEIGHT) + 28
    parts.append(
        f'<text x="0" y="{height - 8:.0f}">Calls a second over {_PHASES * PHASE / 60:.0f} minutes: '
        f'<tspan fill="{_ANSWERED}">answered</tspan>, <tspan fill="{_REFUSED}">refused</tspan> '
        "(cut at 30); the line is what the quota refills.</text>"
    )
    size = f'width="{_WIDTH:.0f}" height="{height:.0f}"'
    style = 'font-family="sans-serif" font-size="13"'
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{body}\n</svg>\n'


def _panel(fleet: Fleet, top: float) -> list[str]:
    bins = int(_PHASES * PHASE / _STEP)
    width, unit = _WIDTH / bins, _HEIGHT / _MOST
    answered, refused = _rates(fleet.answers, bins), _rates(fleet.rejections, bins)
    lines = []
    for index in range(bins):
        below = 0.0
        for rate, color in ((answered[index], _ANSWERED), (refused[index], _REFUSED)):
            high = min(rate, _MOST - below)
            if high > 0:
                y = top + _HEIGHT - (below + high) * unit
                where = f'x="{index * width:.1f}" y="{y:.1f}" width="{width - 0.5:.1f}"'
                lines.append(f'<rect {where} height="{high * unit:.1f}" fill="{color}"/>')
            below += high
    y = top + _HEIGHT - LIMITS["requests"] / 60 * unit
    lines.append(f'<path d="M0 {y:.1f}H{_WIDTH:.0f}" stroke="{_LINE}" stroke-dasharray="4 3"/>')
    return lines


def _rates(times: Sequence[float], bins: int) -> list[float]:
    counts = [0] * bins
    for time in times:
        if time < bins * _STEP:
            counts[int(time / _STEP)] += 1
    return [count / _STEP for count in counts]


if __name__ == "__main__":
    sys.stdout.write(svg())
