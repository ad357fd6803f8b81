"""Sends spans of calls to a collector: OTLP over HTTP, in batches out of a bounded queue.

A call only appends to the queue. A task sends a batch when it is full, or when its oldest call has
waited for `interval`; spans are encoded in a thread. A batch that the collector can't take now is
sent again, later and later; meanwhile the queue fills, and what does not fit is dropped and
counted. With nothing to send, nothing wakes.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import random
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from sidecar import __version__
from sidecar.control.collector import AGAIN, PATH, wait_before
from sidecar.errors import CallError
from sidecar.observe import semconv
from sidecar.observe.otlp import rejected, request
from sidecar.observe.record import size_of
from sidecar.observe.spans import Traced, spans_of
from sidecar.observe.trace import new_span_id
from sidecar.upstream.health.probe import Probe
from sidecar.upstream.off_loop import off_loop

if TYPE_CHECKING:
    from sidecar.config.model.tracing import Tracing
    from sidecar.control.collector import Collector
    from sidecar.llm.dialects import Parameters
    from sidecar.llm.spoken import Content
    from sidecar.observe.record import CallRecord
    from sidecar.observe.stats import SpanStats

_log: Final = logging.getLogger(__name__)

TRIES: Final = 5
"""Of one batch. Later ones may be worth more than it."""
_LAST: Final = 2.0
"""Seconds in which what is queued is sent when the sidecar stops."""
MAX_QUEUED_BYTES: Final = 16 * 2**20
"""What all records that wait may take: the caller chooses how long path and user agent are."""
_SLICE: Final = 8
"""Calls that are encoded without a pause: some 0.4 ms, in which the loop may have to wait."""
_PAUSE: Final = 0.0005


class SpanExporter:
    """Exports calls as spans of *resource* to *collector*. Use from one loop; `close` it."""

    def __init__(
        self,
        settings: Tracing,
        collector: Collector,
        resource: dict[str, str],
        counts: SpanStats,
    ) -> None:
        self._settings = settings
        self._names = semconv.VERSIONS[settings.semconv]
        self._resource = resource
        self._counts = counts
        lines = b"\r\nUser-Agent: llm-sidecar\r\nContent-Type: application/x-protobuf"
        lines += b"\r\nContent-Encoding: gzip" if settings.gzip else b""
        for name, value in settings.headers.items():
            lines += f"\r\n{name}: {value}".encode()
        self._lines = lines
        self._collector = collector
        self._probe = Probe(collector)
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Traced] = deque()
        self._bytes = 0
        self._sending = 0
        """Spans that are neither queued nor accounted for."""
        self._failures = 0
        """Requests in a row that failed, whichever batch they were for."""
        self._complained = False
        self._work = asyncio.Event()
        self._closing = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._task = self._loop.create_task(self._run())

    def export(
        self, record: CallRecord, parameters: Parameters | None, content: Content | None = None
    ) -> None:
        """Queue the spans of *record*, or drop them when the queue is full. Never blocks."""
        traced = Traced(record, parameters, content)
        size = _size(traced)
        queue = self._queue
        if len(queue) >= self._settings.max_queued or self._bytes + size > MAX_QUEUED_BYTES:
            self._counts.dropped["queue_full"] += _count(traced)
            return
        self._bytes += size
        queue.append(traced)
        if len(queue) >= self._settings.batch:
            self._work.set()
        elif self._timer is None:
            self._timer = self._loop.call_later(float(self._settings.interval), self._work.set)

    async def close(self, seconds: float = _LAST) -> None:
        """Send what is queued, without trying again, and end; drop what is left at last."""
        self._closing.set()
        self._work.set()
        await asyncio.wait((self._task,), timeout=seconds)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        left = self._sending + sum(map(_count, self._queue))
        if left:
            self._counts.dropped["shutdown"] += left
        self._queue.clear()
        self._disarm()
        self._probe.close()
        self._collector.resolved.stop()

    async def _run(self) -> None:
        while self._queue or not self._closing.is_set():
            await self._work.wait()
            self._work.clear()
            self._disarm()
            batch = self._take()
            if batch:
                await self._deliver(batch)
            if self._closing.is_set() or len(self._queue) >= self._settings.batch:
                self._work.set()
            elif self._queue and self._timer is None:
                interval = float(self._settings.interval)
                self._timer = self._loop.call_later(interval, self._work.set)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _take(self) -> list[Traced]:
        queue = self._queue
        batch = [queue.popleft() for _ in range(min(len(queue), self._settings.batch))]
        self._bytes -= sum(map(_size, batch))
        return batch

    async def _deliver(self, batch: Sequence[Traced]) -> None:
        self._sending = sum(map(_count, batch))
        try:
            reason = await self._try(await off_loop(partial(self._encode, batch)))
        except Exception:  # a batch that fails must not end all exports
            _log.exception("spans can't be exported")
            reason = "internal"
        if reason:
            self._counts.dropped[reason] += self._sending
        self._sending = 0

    async def _try(self, body: bytes) -> str:
        """Send *body*, again if need be. Return why it was dropped; empty if it was not."""
        for _ in range(TRIES):
            named = None
            try:
                answer = await self._probe.post(
                    PATH, float(self._settings.timeout), self._lines, body
                )
            except CallError as error:
                failure, message = error.code, error.message
            else:
                status = answer.status
                if 200 <= status < 300:
                    self._delivered(rejected(answer.body))
                    return ""
                failure, message = str(status), f"the collector answered {status}"
                named = answer.retry_after
                if status not in AGAIN:
                    self._failed(failure, message)
                    return "refused"
            self._failures += 1
            self._failed(failure, message)
            if self._closing.is_set():
                return "shutdown"
            wait = wait_before(self._failures, named, random.random())
            await _either(self._closing, wait)
        return "given_up"

    def _delivered(self, rejects: int) -> None:
        self._failures = 0
        rejects = min(max(rejects, 0), self._sending)
        self._counts.exported += self._sending - rejects
        if rejects:
            self._counts.dropped["rejected"] += rejects
        if self._complained:
            self._complained = False
            _log.info("spans are exported again", extra={"collector": self._collector.name})

    def _failed(self, failure: str, message: str) -> None:
        """Count a request that failed; say so once until one succeeds."""
        self._counts.failed[failure] += 1
        if not self._complained:
            self._complained = True
            _log.warning(
                "spans can't be exported: %s", message, extra={"collector": self._collector.name}
            )

    def _encode(self, batch: Sequence[Traced]) -> bytes:
        """Runs in a thread, which hands the interpreter to the loop now and then."""
        new_id = partial(new_span_id, random.getrandbits)
        spans: list[bytes] = []
        for begin in range(0, len(batch), _SLICE):
            for traced in batch[begin : begin + _SLICE]:
                spans += spans_of(traced, self._names, new_id)
            time.sleep(_PAUSE)
        url = self._names.schema_url
        body = request(self._resource, ("llm-sidecar", __version__), url, spans)
        return gzip.compress(body, 5, mtime=0) if self._settings.gzip else body


def _size(traced: Traced) -> int:
    """Bytes that it takes, about."""
    return size_of(traced.record) + sum(map(len, traced.content or ()))


def _count(traced: Traced) -> int:
    """Spans of a call."""
    return 1 + len(traced.record.tries)


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Wait for *event*, at most *seconds*."""
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.wait((waiting,), timeout=seconds)
    waiting.cancel()
