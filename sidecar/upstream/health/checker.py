"""Monitors that ask an endpoint at intervals: for its health, or for its load.

A watch begins with its construction and ends with `stop`, which leaves nothing behind: no timer, no
task, no connection. Its `settings` may be replaced at any time. Intervals are jittered, so that the
sidecars of many pods do not all ask at the same moment.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from sidecar.config.model import Pool as PoolConfig
from sidecar.config.model import Tls
from sidecar.errors import CallError, LocalFailure
from sidecar.llm.models import lists
from sidecar.llm.report import parse_metrics
from sidecar.observe.stats import EndpointStats
from sidecar.policy.health import Health, HealthSettings
from sidecar.policy.load import Report
from sidecar.upstream.connect.tls import client_context
from sidecar.upstream.endpoints.endpoint import Endpoint, Origin
from sidecar.upstream.health.probe import Answer, Probe, ProbeFailed
from sidecar.upstream.off_loop import off_loop

if TYPE_CHECKING:
    import ssl

Random = Callable[[], float]
"""Uniform in [0, 1)."""


class HealthChecks(NamedTuple):
    """How health is checked, and how often. At least one of `tcp`, `path` and `model` is given."""

    path: str | None
    tcp: bool
    """Only connect; `path` is not asked for."""
    expect: tuple[str, ...]
    """Statuses that are well: `204`, or a class, `2xx`."""
    model: str | None
    """Must be listed on the (one) page `models_path`."""
    models_path: str
    interval: float
    timeout: float
    """Seconds for each request."""
    jitter: float
    """Share of the interval, either way."""
    thresholds: HealthSettings
    lines: bytes = b""
    """Header lines to send, credentials above all; each after a CRLF."""


class LoadChecks(NamedTuple):
    """Where load is read, and how often. At least one of `path` and `gpu` is given."""

    path: str | None
    gpu: str | None
    """URL of a DCGM exporter; `{host}` stands for the endpoint's host."""
    interval: float
    timeout: float
    jitter: float = 0.1
    lines: bytes = b""
    """For `path` only: the exporter is another server, which gets no credentials."""


class _Settings(Protocol):
    @property
    def interval(self) -> float: ...
    @property
    def jitter(self) -> float: ...


S = TypeVar("S", bound=_Settings)


class _Monitor(Generic[S]):
    """Checks at once, then at intervals, from the start of one check to that of the next."""

    def __init__(self, endpoint: Endpoint, settings: S, random: Random) -> None:
        self.endpoint = endpoint
        self.problem: str | None = None
        """Why the last check failed, for people; None if it succeeded."""
        self._settings = settings
        self._random = random
        self._loop = asyncio.get_running_loop()
        self._probe = Probe(endpoint)
        self._timer: asyncio.TimerHandle | None = None
        self._began = 0.0
        self._stopped = False
        self._task: asyncio.Task[None] | None = None
        self._begin()

    @property
    def settings(self) -> S:
        """The settings. Replacing them reschedules the next check."""
        return self._settings

    @settings.setter
    def settings(self, settings: S) -> None:
        if settings != self._settings:
            self._settings = settings
            if self._timer is not None:
                self._arm()

    def stop(self) -> None:
        """Stop at once: nothing is reported any more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._probe.close()

    async def _check_once(self) -> None:
        raise NotImplementedError

    def _begin(self) -> None:
        self._timer = None
        self._began = self._loop.time()
        self._task = self._loop.create_task(self._run_once())

    async def _run_once(self) -> None:
        try:
            await self._check_once()
        finally:
            self._task = None
            if not self._stopped:
                self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        settings = self._settings
        interval = settings.interval * (1 + settings.jitter * (2 * self._random() - 1))
        self._timer = self._loop.call_at(self._began + interval, self._begin)


class HealthChecker(_Monitor[HealthChecks]):
    """Whether *endpoint* is up; `on_change(up)` is called whenever that changes."""

    def __init__(
        self,
        endpoint: Endpoint,
        settings: HealthChecks,
        on_change: Callable[[bool], None],
        random: Random,
    ) -> None:
        self.health = Health()
        self.changed = time.monotonic()
        """When `health.up` changed last."""
        self._on_change = on_change
        super().__init__(endpoint, settings, random)

    async def _check_once(self) -> None:
        settings = self._settings
        try:
            self.problem = await self._check(settings)
        except LocalFailure as error:  # we could not ask: that says nothing about the endpoint
            self.problem = self.endpoint.problem = error.message
            self.endpoint.stats.probes["unknown"] += 1
            return
        except CallError as error:
            self.problem = error.message
        self.endpoint.problem = self.problem
        self.endpoint.stats.probes["ok" if self.problem is None else "failed"] += 1
        if self.health.observe(self.problem is None, settings.thresholds):
            self.changed = time.monotonic()
            self._on_change(self.health.up)

    async def _check(self, settings: HealthChecks) -> str | None:
        """Return what is wrong, or None. Raise CallError when there is no answer."""
        if settings.tcp:
            await self._probe.connect(settings.timeout)
        elif settings.path is not None:
            answer = await self._get(settings.path, settings)
            if not _expected(answer.status, settings.expect):
                return f"status {answer.status} of {settings.path}"
        if settings.model is not None:
            answer = await self._get(settings.models_path, settings)
            if answer.status != 200 or not lists(answer.body, settings.model):
                return f"{settings.models_path} does not list {settings.model}"
        return None

    async def _get(self, path: str, settings: HealthChecks) -> Answer:
        return await self._probe.get(path, settings.timeout, settings.lines, keep=False)


class LoadPoller(_Monitor[LoadChecks]):
    """Polls *endpoint* for its load, and passes the reports to `on_report`.

    A report is whole or there is none: a source that fails would else look like no load at all. The
    balancer lets what it has grow stale then.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        settings: LoadChecks,
        on_report: Callable[[Report], None],
        random: Random,
    ) -> None:
        self._on_report = on_report
        self._gpu: Probe | None = None
        super().__init__(endpoint, settings, random)

    def stop(self) -> None:
        """Stop at once: nothing is reported any more."""
        super().stop()
        self._drop_gpu()

    async def _check_once(self) -> None:
        settings = self._settings
        report = Report()
        try:
            if settings.path is not None:
                report = await _read(self._probe, settings.path, settings.timeout, settings.lines)
            if settings.gpu is not None:
                gpu = await _read(await self._exporter(settings.gpu), "", settings.timeout)
                report = report._replace(utilization=gpu.utilization)
        except CallError as error:
            self.problem = error.message
        else:
            self.problem = None
            self._on_report(report)

    async def _exporter(self, template: str) -> Probe:
        url = exporter_url(template, self.endpoint.origin)
        if self._gpu is None or self._gpu.endpoint.name != url:
            self._drop_gpu()
            self._gpu = Probe(await _exporter(self.endpoint, url))
        return self._gpu

    def _drop_gpu(self) -> None:
        if self._gpu is not None:
            self._gpu.close()
            self._gpu.endpoint.retire()
            self._gpu = None


async def _read(probe: Probe, path: str, seconds: float, lines: bytes = b"") -> Report:
    """Raise ProbeFailed when there is no report, CallError when there is no answer."""
    answer = await probe.get(path, seconds, lines, keep=True)
    report = parse_metrics(answer.body) if answer.status == 200 else None
    if report is None:
        raise ProbeFailed(f"{probe.endpoint.name}{path} tells no load: status {answer.status}")
    return report


def exporter_url(template: str, origin: Origin) -> str:
    """Fill the host of *origin* into *template*, for `{host}`."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return template.replace("{host}", host)


async def _exporter(endpoint: Endpoint, url: str) -> Endpoint:
    origin = Origin.of(url)
    context: ssl.SSLContext | None = None
    if origin.secure:
        context = await off_loop(partial(client_context, Tls()))
    name = endpoint.resolved.beside(origin.host, origin.port)
    return Endpoint(endpoint.upstream, url, origin, PoolConfig(), EndpointStats(), name, context)


def _expected(status: int, expect: tuple[str, ...]) -> bool:
    return str(status) in expect or f"{status // 100}xx" in expect
