"""From samples to tables."""

from __future__ import annotations

from bench import report
from bench.results import MEASURES


def test_provider_traffic_leads() -> None:
    assert "provider traffic" in MEASURES[0].label


def test_what_reading_costs_stands_beside_no_reading() -> None:
    rounds = [
        {"sidecar": {"cpu_step_us": read}, "unread": {"cpu_step_us": unread}}
        for read, unread in ((11.0, 10.0), (10.0, 10.0), (12.0, 10.0))
    ]
    assert report._reading(rounds).splitlines()[2:] == [
        "| CPU per streamed chunk, in steps | 11.0 µs | 10.0 µs | **1.10** (1.00-1.20) |"
    ]


def test_medians_of_the_ratios_stand_beside_the_aims() -> None:
    rounds = [
        {"sidecar": {"cpu_call_us": ours}, "envoy": {"cpu_call_us": theirs}}
        for ours, theirs in ((60.0, 100.0), (80.0, 80.0), (70.0, 100.0))
    ]
    assert report.summary(rounds).splitlines()[2:] == [
        "| CPU per call, provider traffic | 70.0 µs | 100.0 µs | 0.80 | **0.70** |"
    ]
