"""An exporter of spans, and a collector that does as it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from sidecar.config.model import Tracing
from sidecar.config.read.decode import convert
from sidecar.control.collector import find_collector
from sidecar.control.span_exporter import SpanExporter
from sidecar.observe.record import CallRecord, Try
from sidecar.observe.stats import SpanStats
from sidecar.upstream.connect.resolver import Lookups
from tests.observe.exported import Export, decoded
from tests.sockets.scripted import Scripted

TAKEN: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def record(number: int = 0, tries: int = 1) -> CallRecord:
    """A call with an attempt, which are two spans."""
    return CallRecord(
        1.7e9 + number,
        f"r-{number}",
        "a" * 32,
        method="POST",
        span_id="c" * 16,
        tries=tuple(Try("http://e", "first", 0.0, span_id="d" * 16) for _ in range(tries)),
    )


def exports(collector: Scripted, packed: bool = True) -> list[Export]:
    """What the collector was sent."""
    return [
        decoded(request.partition(b"\r\n\r\n")[2], packed=packed) for request in collector.requests
    ]


def numbers(export: Export) -> list[object]:
    return [a["sidecar.request_id"] for a in export.attributes if "sidecar.request_id" in a]


@asynccontextmanager
async def running(*acts: Any, always: Any = TAKEN) -> AsyncIterator[Scripted]:
    collector = Scripted("collector", *acts, always=always)
    collector.starts()
    try:
        yield collector
    finally:
        collector.stops()


@asynccontextmanager
async def exporting(url: str, **settings: Any) -> AsyncIterator[tuple[SpanExporter, SpanStats]]:
    usual = {"endpoint": url, "interval": "1ms"}
    made = convert(usual | settings, Tracing)
    counts = SpanStats()
    collector = await find_collector(made, Lookups(1).find)
    exporter = SpanExporter(made, collector, {"service.name": "x"}, counts)
    try:
        yield exporter, counts
    finally:
        await exporter.close()
        assert all(count > 0 for count in counts.dropped.values())
        assert exporter._task.done()
        assert exporter._probe.open == 0


def told(counts: SpanStats) -> dict[str, Any]:
    """All counts."""
    counted = {"exported": counts.exported, **counts.dropped}
    return {key: value for key, value in counted.items() if value} | (
        {"failed": dict(counts.failed)} if counts.failed else {}
    )
