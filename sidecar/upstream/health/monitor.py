"""Monitors that ask an endpoint at intervals: for its health, or for its load.

A watch begins with its construction and ends with `stop`, which leaves nothing behind: no timer, no
task, no connection. Its `settings` may be replaced at any time. Intervals are jittered, so that the
sidecars of many pods do not all ask at the same moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from sidecar.upstream.health.probe import Probe

if TYPE_CHECKING:
    from sidecar.upstream.endpoints.endpoint import Endpoint

Random = Callable[[], float]
"""Uniform in [0, 1)."""


class Scheduled(Protocol):
    """The part of the settings that says when to check."""

    @property
    def interval(self) -> float:
        """Seconds from the start of one check to that of the next."""

    @property
    def jitter(self) -> float:
        """By which share the interval is changed at random, either way."""


S = TypeVar("S", bound=Scheduled)


class Monitor(Generic[S]):
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
