"""A bar chart of the costs that matter most, as an SVG of a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from bench.contenders import SIDECAR
from bench.results import MEASURES, Rounds, raw

_KEYS: Final = ("cpu_call_us", "cpu_chunk_us", "rss_loaded")
_WIDTH, _BAR, _LABEL, _NUMBER = 720, 18, 130, 70


def svg(rounds: Rounds, names: Sequence[str]) -> str:
    """One group of bars a measure; a bar that would dwarf the others is cut and says its number."""
    parts: list[str] = []
    y = 0
    for measure in (measure for measure in MEASURES if measure.key in _KEYS):
        values = {name: raw(measure, name, rounds) for name in names}
        shown = {name: value for name, value in values.items() if value is not None}
        if shown:
            y += 34
            title = escape(f"{measure.label}, {measure.unit}")
            parts.append(f'<text x="0" y="{y - 8}" font-weight="bold">{title}</text>')
            parts += _bars(shown, y, measure.digits)
            y += len(shown) * _BAR
    style = 'font-family="sans-serif" font-size="13"'
    size = f'width="{_WIDTH}" height="{y + 10}"'
    background = '<rect width="100%" height="100%" fill="white"/>'
    body = "\n".join([background, *parts])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{body}\n</svg>\n'


def _bars(values: dict[str, float], top: int, digits: int) -> list[str]:
    # The second largest sets the scale: LiteLLM costs tens of times what the others do.
    scale = sorted(values.values())[-2] if len(values) > 1 else max(values.values())
    room = _WIDTH - _LABEL - _NUMBER
    lines = []
    for number, (name, value) in enumerate(values.items()):
        y = top + number * _BAR
        width = max(1.0, min(1.0, value / scale) * room)
        color = "#c2410c" if name == SIDECAR else "#94a3b8"
        text = f"{value:,.{digits}f}" + (" →" if value > scale else "")
        lines.append(f'<text x="0" y="{y + 13}">{escape(name)}</text>')
        lines.append(
            f'<rect x="{_LABEL}" y="{y + 2}" width="{width:.0f}" height="14" fill="{color}"/>'
        )
        lines.append(f'<text x="{_LABEL + width + 6:.0f}" y="{y + 13}">{text}</text>')
    return lines
