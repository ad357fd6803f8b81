"""Active health checks: whether an endpoint is up, by requests of our own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sidecar.errors import CallError, LocalFailure
from sidecar.llm.models import lists
from sidecar.policy.health import Health, HealthSettings
from sidecar.upstream.health.monitor import Monitor, Random

if TYPE_CHECKING:
    from sidecar.upstream.endpoints.endpoint import Endpoint
    from sidecar.upstream.health.probe import Answer


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


class HealthChecker(Monitor[HealthChecks]):
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


def _expected(status: int, expect: tuple[str, ...]) -> bool:
    return str(status) in expect or f"{status // 100}xx" in expect
