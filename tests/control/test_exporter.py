from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from sidecar import __version__
from sidecar.control.exporter import Exporter
from sidecar.observe.reload_stats import SourceStats
from sidecar.observe.stats import EndpointStats, ListenerStats, RouteStats, Stats

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.3"
TEXT = "text/plain;version=0.0.4"
Parse = Callable[[str], Iterable[Metric]]
FORMATS = pytest.mark.parametrize(
    ("accept", "parse"), [(OPENMETRICS, parse_openmetrics), (TEXT, parse_text)]
)


@pytest.fixture
def stats() -> Stats:
    """Numbers that are all different, under labels that need quoting."""
    stats = Stats(started=1732388000.5)
    route = stats.routes['say "hi"', "open\\ai\n"] = RouteStats()
    route.statuses.update({200: 7, 503: 2, 0: 1})
    route.errors["timeout_first_byte"] = 2
    route.in_flight, route.bytes_in, route.bytes_out = 3, 1001, 2002
    for seconds in (0.001, 0.002, 0.3, 700.0):
        route.durations["ok"].observe(seconds)
    endpoint = stats.endpoints["openai", "http://[::1]:8000"] = EndpointStats()
    endpoint.attempts[200] = 8
    endpoint.errors["reset"] = 4
    endpoint.in_flight, endpoint.replays = 5, 6
    endpoint.open, endpoint.idle, endpoint.waiting = 11, 12, 13
    endpoint.connects, endpoint.connect_errors = 14, 15
    endpoint.bytes_in, endpoint.bytes_out = 16, 17
    endpoint.connect.observe(0.02)
    endpoint.tunnels = 24
    listener = stats.listeners["127.0.0.1:14001"] = ListenerStats()
    listener.accepted, listener.open = 18, 19
    listener.refused[431] = 20
    source = SourceStats("etc/sidecar.yaml")
    stats.sources = [source]
    source.failed("no such file")
    source.revision, source.last_heard = "1a2b", 1732388002.5
    reloads = stats.reloads
    reloads.accepted, reloads.rejected, reloads.unchanged = 21, 22, 23
    reloads.last_accepted, reloads.config_hash = 1732388001.0, "c0ffee"
    stats.log_dropped = 25
    stats.spans.exported = 26
    stats.spans.dropped["queue_full"] = 27
    stats.spans.failed["503"] = 28
    return stats


def samples(stats: Stats, accept: str, parse: Parse) -> dict[tuple[str, tuple[str, ...]], float]:
    """Values by metric and by the values of its labels, in the order of the labels' names."""
    body, _ = Exporter(stats).render(accept)
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in parse(body.decode())
        for sample in family.samples
    }


ROUTE = ('say "hi"', "open\\ai\n")
AT = ("http://[::1]:8000", "openai")
EXPECTED: dict[tuple[str, tuple[str, ...]], float] = {
    ("calls_total", (ROUTE[0], "200", ROUTE[1])): 7,
    ("calls_total", (ROUTE[0], "503", ROUTE[1])): 2,
    ("calls_total", (ROUTE[0], "0", ROUTE[1])): 1,
    ("call_errors_total", ("timeout_first_byte", *ROUTE)): 2,
    ("calls_in_flight", ROUTE): 3,
    ("request_bytes_total", ROUTE): 1001,
    ("response_bytes_total", ROUTE): 2002,
    ("call_duration_seconds_count", ("ok", *ROUTE)): 4,
    ("call_duration_seconds_sum", ("ok", *ROUTE)): 700.303,
    ("call_duration_seconds_bucket", ("0.001", "ok", *ROUTE)): 1,
    ("call_duration_seconds_bucket", ("0.0025", "ok", *ROUTE)): 2,
    ("call_duration_seconds_bucket", ("0.25", "ok", *ROUTE)): 2,
    ("call_duration_seconds_bucket", ("0.5", "ok", *ROUTE)): 3,
    ("call_duration_seconds_bucket", ("600.0", "ok", *ROUTE)): 3,
    ("call_duration_seconds_bucket", ("+Inf", "ok", *ROUTE)): 4,
    ("call_first_byte_seconds_count", ROUTE): 0,
    ("attempts_total", (AT[0], "200", AT[1])): 8,
    ("attempt_errors_total", ("reset", *AT)): 4,
    ("attempts_in_flight", AT): 5,
    ("replays_total", AT): 6,
    ("pool_open", AT): 11,
    ("pool_idle", AT): 12,
    ("pool_waiting", AT): 13,
    ("connects_total", AT): 14,
    ("connect_errors_total", AT): 15,
    ("upstream_response_bytes_total", AT): 16,
    ("upstream_request_bytes_total", AT): 17,
    ("connect_seconds_sum", AT): 0.02,
    ("listener_accepted_total", ("127.0.0.1:14001",)): 18,
    ("listener_connections", ("127.0.0.1:14001",)): 19,
    ("listener_refused_total", ("127.0.0.1:14001", "431")): 20,
    ("reloads_total", ("accepted",)): 21,
    ("reloads_total", ("rejected",)): 22,
    ("reloads_total", ("unchanged",)): 23,
    ("config_last_reload_success_timestamp_seconds", ()): 1732388001,
    ("config_last_reload_successful", ()): 1,
    ("config_info", ("c0ffee",)): 1,
    ("config_source_info", ("1a2b", "etc/sidecar.yaml")): 1,
    ("config_source_last_heard_timestamp_seconds", ("etc/sidecar.yaml",)): 1732388002.5,
    ("config_source_errors_total", ("etc/sidecar.yaml",)): 1,
    ("start_time_seconds", ()): 1732388000.5,
    ("tunnels", AT): 24,
    ("access_log_dropped_total", ()): 25,
    ("spans_exported_total", ()): 26,
    ("spans_dropped_total", ("queue_full",)): 27,
    ("span_exports_failed_total", ("503",)): 28,
}


@FORMATS
def test_every_number_is_exported_under_its_labels(stats: Stats, accept: str, parse: Parse) -> None:
    got = samples(stats, accept, parse)
    assert {key: got.get((f"sidecar_{key[0]}", key[1])) for key in EXPECTED} == EXPECTED


@FORMATS
def test_the_build_and_the_process_are_described(stats: Stats, accept: str, parse: Parse) -> None:
    body, _ = Exporter(stats).render(accept)
    families = {family.name: family for family in parse(body.decode())}
    [build] = families["sidecar_build_info"].samples
    assert build.labels["version"] == __version__
    assert families["process_resident_memory_bytes"].samples[0].value > 2**20
    assert families["process_open_fds"].samples[0].value > 0


def test_a_refused_configuration_shows(stats: Stats) -> None:
    stats.reloads.last_error = "sidecar.yaml:3: unknown key"
    assert samples(stats, TEXT, parse_text)["sidecar_config_last_reload_successful", ()] == 0


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/html,*/*;q=0.8", "text/plain; version=0.0.4; charset=utf-8"),
        (TEXT, "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        ("application/openmetrics-text;version=0.0.1", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
def test_the_format_is_negotiated(stats: Stats, accept: str, content_type: str) -> None:
    body, answered = Exporter(stats).render(accept)
    assert answered.startswith(content_type)
    assert body.endswith(b"# EOF\n") == ("openmetrics" in content_type)


@FORMATS
def test_nothing_counted_yet_is_valid_too(accept: str, parse: Parse) -> None:
    body, _ = Exporter(Stats(0.0)).render(accept)
    assert "sidecar_calls" in {family.name for family in parse(body.decode())}


def test_two_exporters_do_not_meet(stats: Stats) -> None:
    assert Exporter(stats).render(TEXT)[1] == Exporter(stats).render(TEXT)[1]


def test_a_scrape_while_the_numbers_change(stats: Stats) -> None:
    """Names and statuses that appear while a scrape walks must not break it."""
    stop = threading.Event()

    def count() -> None:
        for number in range(20_000):
            stats.routes[f"route-{number % 50}", "openai"] = route = RouteStats()
            route.statuses[number] += 1
            stats.routes.pop((f"route-{(number - 25) % 50}", "openai"), None)
            if stop.is_set():
                return

    thread = threading.Thread(target=count)
    thread.start()
    exporter = Exporter(stats)
    for _ in range(10):
        list(parse_text(exporter.render(TEXT)[0].decode()))
    stop.set()
    thread.join()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_to_say(stats: Stats) -> None:
    body, _ = Exporter(stats).render(TEXT)
    done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
