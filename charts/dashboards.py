"""The chart's Grafana dashboards, as `python -m charts.generate` writes them.

Rows and places follow from the order in `charts.boards`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from charts.boards import Board, Panel

Tree = dict[str, Any]

_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH: Final = 8
"""Of a panel; a row has 24."""
_HEIGHT: Final = 8


def dashboard(board: Board) -> Tree:
    """Return *board* as Grafana reads it."""
    return {
        "title": board.title,
        "uid": f"llm-sidecar-{board.name}",
        "schemaVersion": 39,
        "tags": ["llm"],
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "timezone": "browser",
        "links": [
            {"type": "dashboards", "title": "LLM sidecars", "tags": ["llm"], "keepTime": True}
        ],
        "templating": {"list": [*_variables(board)]},
        "panels": [*_panels(board)],
    }


def _matchers(names: tuple[str, ...]) -> str:
    return ", ".join(f'{name}=~"${name}"' for name in names)


def _variables(board: Board) -> Iterator[Tree]:
    yield {"name": "datasource", "type": "datasource", "query": "prometheus", "current": {}}
    chosen: tuple[str, ...] = ()
    for name, metric in board.variables:
        within = f"{{{_matchers(chosen)}}}" if chosen else ""
        yield {
            "name": name,
            "type": "query",
            "datasource": _SOURCE,
            "query": f"label_values({metric}{within}, {name})",
            "refresh": 2,
            "includeAll": True,
            "multi": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        }
        chosen += (name,)


def _panels(board: Board) -> Iterator[Tree]:
    chosen = _matchers(tuple(name for name, _ in board.variables))
    number, y = 0, 0
    for row in board.rows:
        number += 1
        place = {"h": 1, "w": 24, "x": 0, "y": y}
        heading = {"id": number, "type": "row", "title": row.title, "gridPos": place}
        inside: list[Tree] = []
        for at, panel in enumerate(row.panels):
            number += 1
            down, across = divmod(at, 24 // _WIDTH)
            x, top = across * _WIDTH, y + 1 + down * _HEIGHT
            inside.append(_panel(panel, number, x, top, chosen))
        yield {**heading, "collapsed": not row.open, "panels": [] if row.open else inside}
        if row.open:
            yield from inside
        y += 1 + (-(-len(row.panels) * _WIDTH // 24) * _HEIGHT if row.open else 0)


def _panel(panel: Panel, number: int, x: int, y: int, chosen: str) -> Tree:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": {"h": _HEIGHT, "w": _WIDTH, "x": x, "y": y},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi"},
        },
        "targets": [
            {"refId": chr(ord("A") + at), "expr": query.replace("{}", chosen), "legendFormat": name}
            for at, (query, name) in enumerate(panel.queries)
        ],
    }
