"""The monitors of all endpoints that serve."""

from __future__ import annotations

import random
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from sidecar.policy.health import HealthSettings
from sidecar.upstream.health.checker import HealthChecker, HealthChecks
from sidecar.upstream.health.load import LoadChecks, LoadPoller

if TYPE_CHECKING:
    from sidecar.config.model import Health, LoadReport
    from sidecar.config.model import Upstream as UpstreamConfig
    from sidecar.policy.load import Report
    from sidecar.upstream.endpoints.endpoint import Endpoint

_random: Final = random.Random().random


class Monitors:
    """At most one monitor of a kind for each endpoint."""

    def __init__(self) -> None:
        self._health: dict[Endpoint, HealthChecker] = {}
        self._load: dict[Endpoint, LoadPoller] = {}

    def ensure(self, endpoint: Endpoint, config: UpstreamConfig) -> None:
        """Monitor *endpoint* as *config* says: begin, go on with other settings, or stop."""
        lines = b""
        for key in config.keys()[:1]:  # each asks with one key: more would ask more often
            lines = b"\r\n%b: %b" % (key.header.encode(), key.value.encode())
        self._ensure_health(endpoint, config.health, lines)
        self._ensure_load(endpoint, config.load, lines)

    def remove(self, endpoint: Endpoint) -> None:
        """Stop monitoring *endpoint*."""
        for monitor in (self._health.pop(endpoint, None), self._load.pop(endpoint, None)):
            if monitor is not None:
                monitor.stop()

    def _ensure_health(self, endpoint: Endpoint, config: Health | None, lines: bytes) -> None:
        monitor = self._health.get(endpoint)
        if config is None:
            if monitor is not None:
                self._health.pop(endpoint).stop()
                endpoint.set_health(True)
            return
        checks = health_checks(config, lines)
        if monitor is None:
            self._health[endpoint] = HealthChecker(endpoint, checks, endpoint.set_health, _random)
        else:
            monitor.settings = checks

    def _ensure_load(self, endpoint: Endpoint, config: LoadReport | None, lines: bytes) -> None:
        monitor = self._load.get(endpoint)
        if config is None or (config.path is None and config.gpu is None):
            if monitor is not None:
                self._load.pop(endpoint).stop()
            return
        checks = load_checks(config, lines)
        if monitor is None:
            report = partial(_take, endpoint)
            self._load[endpoint] = LoadPoller(endpoint, checks, report, _random)
        else:
            monitor.settings = checks


def health_checks(config: Health, lines: bytes) -> HealthChecks:
    """Make what a health checker goes by; *lines* are header lines to send."""
    return HealthChecks(
        path=config.path,
        tcp=config.tcp,
        expect=config.expect,
        model=config.model,
        models_path=config.models_path,
        interval=float(config.interval),
        timeout=float(config.timeout),
        jitter=float(config.jitter),
        thresholds=HealthSettings(config.healthy, config.unhealthy),
        lines=lines,
    )


def load_checks(config: LoadReport, lines: bytes) -> LoadChecks:
    """Make what a load poller goes by; *lines* are header lines to send."""
    return LoadChecks(
        path=config.path,
        gpu=config.gpu,
        interval=float(config.interval),
        timeout=float(config.timeout),
        lines=lines,
    )


def _take(endpoint: Endpoint, report: Report) -> None:
    endpoint.load.report(report, time.monotonic())
