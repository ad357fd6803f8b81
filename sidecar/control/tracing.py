"""Which exporter of spans serves, and what a reload does to it."""

from __future__ import annotations

import asyncio
import os
import uuid
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sidecar.observe.resource import resource
from sidecar.observe.trace import NONE, threshold
from sidecar.upstream.connect.resolver import Lookups
from sidecar.upstream.connect.tls import PLAIN, digest_of
from sidecar.upstream.off_loop import off_loop

if TYPE_CHECKING:
    from sidecar.config.model import Tracing as TracingConfig
    from sidecar.control.collector import Collector
    from sidecar.control.span_exporter import SpanExporter
    from sidecar.observe.stats import SpanStats
    from sidecar.proxy.recorder import Recorder


class Prepared(NamedTuple):
    """Settings that may serve next."""

    config: TracingConfig
    digest: str
    """Of the files behind its TLS."""
    collector: Collector | None
    """None where the exporter that serves goes on, or where there is to be none."""


class Tracing:
    """Has *recorder* export spans as the configuration says."""

    def __init__(self, recorder: Recorder, counts: SpanStats) -> None:
        self._recorder = recorder
        self._counts = counts
        self._instance = str(uuid.uuid4())
        self._serves: tuple[TracingConfig, str] | None = None
        self._exporter: SpanExporter | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def prepare(self, config: TracingConfig) -> Prepared:
        """Do for *config* what may fail. Raise OSError for TLS files that can't be used."""
        stamp = PLAIN
        if config.endpoint is None:
            return Prepared(config, stamp, None)
        if config.endpoint.startswith("https:"):
            stamp = await off_loop(partial(digest_of, config.tls))
        if (config, stamp) == self._serves:
            return Prepared(config, stamp, None)
        from sidecar.control.collector import find_collector

        return Prepared(config, stamp, await find_collector(config, Lookups(1).find))

    def swap(self, prepared: Prepared) -> None:
        """Export by *prepared* from the next call's end on; what waits is still sent."""
        config, stamp, collector = prepared
        if (config, stamp) == self._serves:
            return
        self._serves = config, stamp
        old, self._exporter = self._exporter, None
        if collector is not None:
            from sidecar.control.span_exporter import SpanExporter

            found = resource(config.resource, os.environ, self._instance)
            self._exporter = SpanExporter(config, collector, found, self._counts)
        self._recorder.spans = self._exporter
        wanted = collector is not None and config.content is not None
        self._recorder.content = int(config.content or 0) if wanted else 0
        self._recorder.reject = NONE if collector is None else threshold(float(config.sample))
        if old is not None:
            task = asyncio.create_task(old.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Send what waits, and export no more."""
        self._recorder.spans = None
        if self._exporter is not None:
            await self._exporter.close()
        if self._closing:
            await asyncio.wait(self._closing)
