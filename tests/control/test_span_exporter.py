"""Batches of spans on their way to a collector that is well, slow, away, or says no."""

from __future__ import annotations

import asyncio
import gzip
import operator
import ssl
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from sidecar.control import span_exporter
from sidecar.observe.otlp import rejected
from tests.control.collecting import TAKEN, exporting, exports, numbers, record, running, told
from tests.observe.exported import decoded
from tests.sockets.peers import Server, until
from tests.sockets.scripted import status
from tests.upstream.served import refusing

BUSY = status(503)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float | None]]:
    """What is waited for between tries: how many failures, and what the collector named."""
    waited: list[tuple[int, float | None]] = []

    def wait(failures: int, named: float | None, chance: float) -> float:
        assert 0 <= chance < 1
        waited.append((failures, named))
        return 0.0

    monkeypatch.setattr(span_exporter, "wait_before", wait)
    return waited


async def test_what_is_sent() -> None:
    headers = {"Authorization": "Bearer x", "x-scope": "team"}
    async with running() as collector:
        url = collector.url + "/base"
        async with exporting(url, headers=headers, semconv="latest") as (exporter, counts):
            exporter.export(record(), None)
            await until(lambda: counts.exported == 2)
            [request] = collector.requests
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /base/v1/traces HTTP/1.1"
    assert set(lines[1:]) == {
        b"Host: 127.0.0.1:%d" % collector.port,
        b"User-Agent: llm-sidecar",
        b"Content-Type: application/x-protobuf",
        b"Content-Encoding: gzip",
        b"Authorization: Bearer x",
        b"x-scope: team",
        b"Content-Length: %d" % len(body),
    }
    export = decoded(gzip.decompress(body))
    assert export.resource == {"service.name": "x"}
    assert export.scope[0] == "llm-sidecar"
    assert export.schema_urls == {"https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"}
    assert len(export.spans) == 2


async def test_without_compression() -> None:
    async with running() as collector, exporting(collector.url, gzip=False) as (exporter, counts):
        exporter.export(record(), None)
        await until(lambda: counts.exported)
        assert len(exports(collector, packed=False)[0].spans) == 2
        assert b"gzip" not in collector.requests[0].partition(b"\r\n\r\n")[0]


async def test_a_full_batch_waits_for_nothing() -> None:
    async with running() as collector:
        async with exporting(collector.url, interval="1h", batch=3) as (exporter, counts):
            for number in range(7):
                exporter.export(record(number), None)
            await until(lambda: counts.exported == 12)
            assert list(map(numbers, exports(collector))) == [
                ["r-0", "r-1", "r-2"], ["r-3", "r-4", "r-5"],
            ]  # fmt: skip
            assert len(collector.peers) == 1  # its connection is kept
        assert numbers(exports(collector)[-1]) == ["r-6"]  # sent at the end
        assert told(counts) == {"exported": 14}


async def test_nothing_is_sent_while_there_is_nothing() -> None:
    async with running() as collector, exporting(collector.url) as (exporter, counts):
        exporter.export(record(), None)
        await until(lambda: counts.exported == 2)
        assert exporter._timer is None
        await asyncio.sleep(0.02)
        assert len(collector.requests) == 1
        exporter.export(record(), None)  # what comes later is sent as well
        await until(lambda: counts.exported == 4)


async def test_a_full_queue_drops_what_is_new() -> None:
    async with (
        running(always="hang") as collector,
        exporting(collector.url, batch=2, max_queued=3) as (exporter, counts),
    ):
        for number in range(2):
            exporter.export(record(number), None)
        await until(lambda: collector.requests)
        for number in range(5):
            exporter.export(record(number, tries=2), None)
        assert told(counts) == {"queue_full": 6}
        await exporter.close(0.01)
        assert told(counts) == {"queue_full": 6, "shutdown": 4 + 9}


async def test_long_paths_fill_the_queue_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_exporter, "MAX_QUEUED_BYTES", 40_000)
    async with running() as collector:
        async with exporting(collector.url, interval="1h") as (exporter, counts):
            for number in range(5):
                one = record(number)
                one.path = "/" * 16_000
                exporter.export(one, None)
            assert told(counts) == {"queue_full": 6}
        assert counts.exported == 4


@pytest.mark.parametrize("code", [429, 502, 503, 504])
async def test_it_tries_again(
    code: int, waits: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "sidecar.control.span_exporter")
    acts = status(code), status(code, b"Retry-After: 7")
    async with running(*acts) as collector, exporting(collector.url) as (exporter, counts):
        exporter.export(record(), None)
        await until(lambda: counts.exported == 2)
        assert len(set(collector.requests)) == 1
        assert len(collector.requests) == 3
    assert waits == [(1, None), (2, 7.0)]
    assert told(counts) == {"exported": 2, "failed": {str(code): 2}}
    assert [each.message for each in caplog.records] == [
        f"spans can't be exported: the collector answered {code}",
        "spans are exported again",
    ]


@pytest.mark.parametrize("code", [301, 400, 401, 404, 413, 500, 501])
async def test_a_refusal_is_final(code: int, waits: list[Any]) -> None:
    async with running(status(code)) as collector, exporting(collector.url) as (exporter, counts):
        exporter.export(record(), None)
        await until(lambda: counts.dropped)
        exporter.export(record(), None)
        await until(lambda: counts.exported)
        assert len(collector.requests) == 2
    assert not waits
    assert told(counts) == {"refused": 2, "exported": 2, "failed": {str(code): 1}}


@pytest.mark.parametrize("act", ["reset", "close", b"HTTP/1.1 200 OK\r\nContent-Le", b"no HTTP"])
async def test_a_collector_that_breaks_off(act: Any, waits: list[Any]) -> None:
    acts = (act, "reset") if isinstance(act, bytes) else (act,)
    async with (
        running(*acts) as collector,
        exporting(collector.url, timeout="300ms") as (exporter, counts),
    ):
        exporter.export(record(), None)
        await until(lambda: counts.exported == 2)
        assert told(counts)["exported"] == 2
        assert waits


async def test_a_collector_that_does_not_answer(waits: list[Any]) -> None:
    async with (
        running("hang") as collector,
        exporting(collector.url, timeout="50ms") as (exporter, counts),
    ):
        exporter.export(record(), None)
        await until(lambda: counts.exported == 2)
        assert sum(counts.failed.values()) >= 1
        await until(lambda: collector.broken == 1)


async def test_a_collector_that_is_away(waits: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    async with refusing() as url, exporting(url) as (exporter, counts):
        for number in range(3):
            exporter.export(record(number), None)
            await until(partial(operator.eq, counts.dropped, {"given_up": 2 * number + 2}))
    assert told(counts) == {"given_up": 6, "failed": {"connect_failed": 15}}
    assert [failures for failures, _ in waits] == [*range(1, 16)]  # later and later
    assert len(caplog.records) == 1


async def test_a_name_that_does_not_exist(waits: list[Any]) -> None:
    async with exporting("http://nobody.invalid:4318") as (exporter, counts):
        exporter.export(record(), None)
        await until(lambda: counts.dropped["given_up"] == 2)


async def test_spans_that_are_rejected_are_counted() -> None:
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = 1
    body = response.SerializeToString()
    assert rejected(body) == 1
    async with running(status(200, body=body)) as collector:
        async with exporting(collector.url) as (exporter, counts):
            exporter.export(record(), None)
            await until(lambda: counts.exported)
        assert told(counts) == {"exported": 1, "rejected": 1}


async def test_the_end_does_not_wait_for_a_collector_that_fails() -> None:
    async with running(always=BUSY) as collector:
        async with exporting(collector.url, interval="1h", batch=1) as (exporter, counts):
            for number in range(3):
                exporter.export(record(number), None)
            await until(lambda: collector.requests)  # and waits half a second at least, then
        assert told(counts)["shutdown"] == 6
        assert len(collector.requests) <= 4


async def test_a_bug_in_a_batch_does_not_end_all(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as collector, exporting(collector.url) as (exporter, counts):
        exporter.export(record(), None)
        await until(lambda: counts.exported == 2)
        broken = record()
        broken.trace_id = "no hex"
        exporter.export(broken, None)
        await until(lambda: counts.dropped["internal"] == 2)
        exporter.export(record(), None)
        await until(lambda: counts.exported == 4)
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("known", [True, False])
async def test_over_tls(known: bool, tmp_path: Path, waits: list[Any]) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("collector.internal").configure_cert(context)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(TAKEN)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    tls = {"ca": str(tmp_path / "ca.pem"), "server_name": "collector.internal"}
    async with server, exporting(url, tls=tls if known else {}) as (exporter, counts):
        exporter.export(record(), None)
        await until(lambda: counts.exported == 2 or counts.dropped)
    if known:
        assert told(counts) == {"exported": 2}
    else:
        assert told(counts) == {"given_up": 2, "failed": {"tls_failed": 5}}


async def test_a_collector_that_reads_nothing() -> None:
    """What it does not read stays bounded: one request, and the queue."""
    server = Server(window=4096)
    try:
        async with exporting(server.url, gzip=False, timeout="100ms", batch=512) as (
            exporter, counts,
        ):  # fmt: skip
            for number in range(512):
                exporter.export(record(number, tries=20), None)
            await until(lambda: counts.failed)
    finally:
        server.closes()
    assert told(counts)["shutdown"] == 512 * 21
