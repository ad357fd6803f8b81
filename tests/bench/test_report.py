"""From samples to tables."""

from __future__ import annotations

from bench import report
from bench.results import MEASURES


def test_provider_traffic_leads() -> None:
    assert "provider traffic" in MEASURES[0].label


def test_medians_of_the_ratios_stand_beside_the_aims() -> None:
    rounds = [
        {"sidecar": {"cpu_call_us": ours}, "envoy": {"cpu_call_us": theirs}}
        for ours, theirs in ((60.0, 100.0), (80.0, 80.0), (70.0, 100.0))
    ]
    assert report.summary(rounds).splitlines()[2:] == [
        "| CPU per call, provider traffic | 70.0 µs | 100.0 µs | 0.80 | **0.70** |"
    ]
