"""What a program's calls did, from metrics as the exporter writes them."""

import re

from sidecar.control.exporter import Exporter
from sidecar.launch.summary import read, summary
from sidecar.observe.stats import ListenerStats, RouteStats, Stats


def metrics(stats: Stats) -> str:
    return Exporter(stats).render("text/plain;version=0.0.4")[0].decode()


def test_only_what_is_new_counts() -> None:
    stats = Stats(0.0)
    route = stats.routes["r", "u"] = RouteStats()
    listener = stats.listeners["l"] = ListenerStats()
    route.statuses[200] = 5
    route.durations["ok"].observe(9.0)
    listener.decisions["not_routed"] = 1
    before = read(metrics(stats))
    assert summary(before, before) == "0 calls"

    route.statuses[200] += 2
    route.statuses[502] += 1
    route.statuses[0] += 1
    route.retries["503"] += 1
    for seconds in (0.1, 0.3):
        route.durations["ok"].observe(seconds)
        route.first_byte.observe(0.05)
    listener.decisions["not_routed"] += 2
    listener.decisions["silent"] += 1
    listener.decisions["certificate_refused"] += 1
    listener.decisions["intercepted_tls"] += 1
    assert summary(before, read(metrics(stats))) == (
        "4 calls (1 x left, 2 x 200, 1 x 502), 1 retry (1 after 503), mean 200 ms, "
        "first byte 50 ms\n"
        "3 connections passed through, 1 connection that did not trust the local CA"
    )


def test_all_routes_together() -> None:
    stats = Stats(0.0)
    for name in ('a"b', "c"):
        stats.routes[name, "u"] = RouteStats()
        stats.routes[name, "u"].statuses[200] = 1
    assert summary({}, read(metrics(stats))).startswith("2 calls (2 x 200), 0 retries")


def test_tokens_first_tokens_and_replies_that_broke() -> None:
    stats = Stats(0.0)
    before = read(metrics(stats))
    for name, seconds in (("r", 0.2), ("q", 0.4)):
        route = stats.routes[name, "u"] = RouteStats()
        route.statuses[200] += 10
        route.retries["503"] += 1
        route.retries["connect_failed"] += 1
        route.verdicts["complete"] += 8
        route.verdicts["truncated"] += 2
        for model in ("m", "n"):
            spent = route.models.spent_by(model, "")
            spent.input, spent.cached, spent.output, spent.cost = 1000, 200, 30, 0.0025
            for _ in range(5):
                route.models.asked_for(model, answered=True).first_token.observe(seconds)
    told = summary(before, read(metrics(stats))).splitlines()
    assert told == [
        "20 calls (20 x 200), 4 retries (2 after 503, 2 after connect_failed)",
        "4,000 tokens read, 120 made (800 cached), cost 0.01, "
        f"first token {told[1].partition('first token ')[2]}",
        "4 replies not complete (4 truncated)",
    ]
    half, most = (float(ms) for ms in re.findall(r"about ([0-9.]+) ms", told[1]))
    assert 100 <= half <= 250 < most <= 500

    stats.routes["r", "u"].models.spent_by("m", "").estimated_output = 5
    assert "~4,000 tokens read, 125 made" in summary(before, read(metrics(stats)))


def test_a_first_token_beyond_all_buckets_is_at_least_the_last_bound() -> None:
    stats = Stats(0.0)
    route = stats.routes["r", "u"] = RouteStats()
    before = read(metrics(stats))
    route.statuses[200] = 1
    route.models.asked_for("m", answered=True).first_token.observe(10_000.0)
    assert "p50 about 600,000 ms" in summary(before, read(metrics(stats)))
