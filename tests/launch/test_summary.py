"""What a program's calls did, from metrics as the exporter writes them."""

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
        "4 calls (1 x left, 2 x 200, 1 x 502), 1 retry, mean 200 ms, first byte 50 ms, "
        "3 connections passed through, 1 connection that did not trust the local CA"
    )


def test_all_routes_together() -> None:
    stats = Stats(0.0)
    for name in ('a"b', "c"):
        stats.routes[name, "u"] = RouteStats()
        stats.routes[name, "u"].statuses[200] = 1
    assert summary({}, read(metrics(stats))).startswith("2 calls (2 x 200), 0 retries")
