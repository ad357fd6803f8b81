from __future__ import annotations

from xml.etree import ElementTree

from bench.quota import Alone, Divided
from bench.quota_chart import svg


def test_a_panel_shows_what_was_answered_and_what_was_refused() -> None:
    root = ElementTree.fromstring(svg([("apart & alone", Divided), ("greedy", Alone)]))
    texts = ["".join(text.itertext()) for text in root.findall("{*}text")]
    assert texts[0].startswith("apart & alone: ")
    assert "0.0% refused" in texts[0]
    assert "greedy" in texts[1]
    colors = [bar.get("fill") for bar in root.findall("{*}rect")][1:]
    first, second = colors[:72], colors[72:]
    assert set(first) == {"#15803d"}
    assert set(second) == {"#15803d", "#c2410c"}
    assert all(float(bar.get("height", "0").rstrip("%")) <= 100 for bar in root.findall("{*}rect"))
