"""A picture of the fleets at one quota, as an SVG: what is answered and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final

_WIDTH, _HEIGHT, _TITLE = 720.0, 96.0, 40.0
_MOST: Final = 3.0
"""Times the quota, at a panel's upper end. More is cut off."""
_ANSWERED, _REFUSED, _LINE = "#15803d", "#c2410c", "#475569"


def svg(
    fleets: Sequence[tuple[str, dict[str, Any]]],
    rate: float,
    settle: float,
    seconds: float,
    phases: Sequence[str],
) -> str:
    """Draw a panel for each fleet. *rate*: calls a second that the quota allows."""
    parts = ['<rect width="100%" height="100%" fill="white"/>']
    whole = settle + seconds * len(phases)
    for number, (title, result) in enumerate(fleets):
        top = number * (_TITLE + _HEIGHT) + _TITLE
        mean = {
            name: sum(row[name] for row in result["phases"]) / len(result["phases"])
            for name in ("used", "refused", "failed", "fairness")
        }
        told = (
            f"{title}: {mean['used']:.0%} used, {mean['refused']:.0%} refused, "
            f"{mean['failed']:.0%} of the calls failed, Jain {mean['fairness']:.2f}"
        )
        parts.append(f'<text x="0" y="{top - 12:.0f}" font-weight="bold">{escape(told)}</text>')
        parts += _panel(result["seconds"], top, rate)
    height = len(fleets) * (_TITLE + _HEIGHT) + 48
    for index, phase in enumerate(("", *phases)):
        begin = 0.0 if not index else settle + (index - 1) * seconds
        x = begin / whole * _WIDTH
        if index:
            parts.append(f'<path d="M{x:.1f} {_TITLE:.0f}V{height - 44:.0f}" stroke="#cbd5e1"/>')
            parts.append(f'<text x="{x + 4:.1f}" y="{height - 30:.0f}">{escape(phase)}</text>')
    parts.append(
        f'<text x="0" y="{height - 8:.0f}">Calls a second at the provider over {whole:.0f} s: '
        f'<tspan fill="{_ANSWERED}">answered</tspan>, <tspan fill="{_REFUSED}">refused</tspan> '
        f"(cut at {_MOST * rate:.0f}); the line is what the quota refills.</text>"
    )
    size = f'width="{_WIDTH:.0f}" height="{height:.0f}"'
    style = 'font-family="sans-serif" font-size="13"'
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{body}\n</svg>\n'


def _panel(bins: Sequence[Sequence[int]], top: float, rate: float) -> list[str]:
    width, unit = _WIDTH / len(bins), _HEIGHT / (_MOST * rate)
    lines = []
    for index, (answered, refused) in enumerate(bins):
        below = 0.0
        for count, color in ((answered, _ANSWERED), (refused, _REFUSED)):
            high = min(float(count), _MOST * rate - below)
            if high > 0:
                y = top + _HEIGHT - (below + high) * unit
                where = f'x="{index * width:.1f}" y="{y:.1f}" width="{width - 0.5:.1f}"'
                lines.append(f'<rect {where} height="{high * unit:.1f}" fill="{color}"/>')
            below += high
    y = top + _HEIGHT - rate * unit
    lines.append(f'<path d="M0 {y:.1f}H{_WIDTH:.0f}" stroke="{_LINE}" stroke-dasharray="4 3"/>')
    return lines
