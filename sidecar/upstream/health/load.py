"""Load reports: what an endpoint says of its queue and cache, and an exporter of its GPUs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sidecar.config.model import Tls
from sidecar.errors import CallError
from sidecar.llm.report import parse_metrics
from sidecar.policy.load import Report
from sidecar.upstream.connect.dialer import Dialer
from sidecar.upstream.connect.tls import client_context
from sidecar.upstream.endpoints.endpoint import Endpoint, Origin
from sidecar.upstream.health.monitor import Monitor, Random
from sidecar.upstream.health.probe import Probe, ProbeFailed
from sidecar.upstream.off_loop import off_loop

if TYPE_CHECKING:
    from sidecar.upstream.connect.name import Name


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


class LoadPoller(Monitor[LoadChecks]):
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
        if self._gpu is None or self._gpu.server.name != url:
            self._drop_gpu()
            self._gpu = Probe(await _exporter(self.endpoint, url))
        return self._gpu

    def _drop_gpu(self) -> None:
        if self._gpu is not None:
            self._gpu.close()
            self._gpu.server.resolved.stop()
            self._gpu = None


async def _read(probe: Probe, path: str, seconds: float, lines: bytes = b"") -> Report:
    """Raise ProbeFailed when there is no report, CallError when there is no answer."""
    answer = await probe.get(path, seconds, lines, keep=True)
    report = parse_metrics(answer.body) if answer.status == 200 else None
    if report is None:
        raise ProbeFailed(f"{probe.server.name}{path} has no load report: status {answer.status}")
    return report


def exporter_url(template: str, origin: Origin) -> str:
    """Fill the host of *origin* into *template*, for `{host}`."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return template.replace("{host}", host)


class _Exporter(NamedTuple):
    """A server of GPU metrics beside an endpoint, as a probe takes it."""

    name: str
    origin: Origin
    resolved: Name
    dial: Dialer


async def _exporter(endpoint: Endpoint, url: str) -> _Exporter:
    origin = Origin.of(url)
    context = await off_loop(partial(client_context, Tls())) if origin.secure else None
    name = endpoint.resolved.beside(origin.host, origin.port)
    return _Exporter(url, origin, name, Dialer(url, name, context, origin.host))
