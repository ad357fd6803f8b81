"""The composition root: one sidecar, from its start to its end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import time
from typing import TYPE_CHECKING, Final

from sidecar.config.load import Loaded
from sidecar.config.overrides import Overrides
from sidecar.control.admin import AdminServer
from sidecar.control.inspection import Inspection
from sidecar.control.reload import Reloader
from sidecar.control.serving import Serving
from sidecar.control.sources.base import Source
from sidecar.observe.stats import Stats

if TYPE_CHECKING:
    from sidecar.control.notify import Notifier

_log: Final = logging.getLogger(__name__)
_GARBAGE: Final = (20_000, 50, 100)
"""Collector thresholds. A call leaves no cycles behind, so that it seldom needs to look."""
_NONE: Final = Overrides()


class App:
    """A sidecar in the running loop: `start`, then `run` until it is told to stop."""

    def __init__(self, *sources: Source, overrides: Overrides = _NONE) -> None:
        self._serving = Serving(Stats(time.time()))
        self._reloader = Reloader(sources, self._serving, overrides)
        self._stop = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._admin: AdminServer | None = None
        self._notifier: Notifier | None = None

    async def start(self) -> None:
        """Serve. Raise ConfigErrors for a bad configuration, OSError for an address in use."""
        await self._reloader.start()
        config = self._reloader.loaded.config.admin
        inspection = Inspection(self._serving, self._reloader, self.stop)
        self._admin = AdminServer(inspection, config.address, config.health)
        self._admin.start()
        self._obey_signals()
        inspection.started = True  # from now on SIGTERM drains: say so no sooner
        self._reloader.admin = self._admin
        self._watching = asyncio.create_task(self._reloader.watch())
        gc.freeze()  # what lives as long as the process need not be looked at again
        gc.set_threshold(*_GARBAGE)
        gc.enable()
        for listener in self._serving.listeners.values():
            _log.info("listening", extra={"address": listener.name})
        if "NOTIFY_SOCKET" in os.environ:
            from sidecar.control.notify import Notifier

            self._notifier = Notifier(os.environ)
            self._notifier.ready()

    @property
    def loaded(self) -> Loaded:
        """The configuration that serves, once it has started."""
        return self._reloader.loaded

    def abandon(self) -> None:
        """Remove socket files: SIGTERM came during the start."""
        self._serving.abandon()

    def _obey_signals(self) -> None:
        """Handle signals: SIGTERM and SIGINT stop, a second one aborts calls, SIGHUP reloads."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.hang_up)

    async def run(self) -> None:
        """Serve until a signal or the admin API says stop."""
        await self._stop.wait()
        await self._shut_down()

    def stop(self) -> None:
        """Drain, then end `run`. Called again: end it now."""
        if self._stop.is_set():
            self._serving.abort()
        self._stop.set()

    async def _shut_down(self) -> None:
        deadline = float(self._reloader.loaded.config.drain)
        in_flight = self._serving.in_flight()
        if self._notifier is not None:
            self._notifier.stopping(deadline)
        _log.info("stopping", extra={"in_flight": in_flight, "deadline_s": deadline})
        whole = await self._serving.drain(deadline)
        if not whole:
            _log.warning("the drain deadline passed with calls in flight; they were cut off")
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._admin is not None:
            self._admin.stop()
        await self._serving.close_tracing()
        self._serving.close_log()
        _log.info("stopped")

    def hang_up(self) -> None:
        """Reopen the access log and reload the configuration (SIGHUP)."""
        if self._serving.access_log is not None:
            self._serving.access_log.reopen()
        self._reloading = asyncio.create_task(self._reload())

    async def _reload(self) -> None:
        if self._notifier is None:
            await self._reloader.reload()
            return
        self._notifier.reloading()
        try:
            await self._reloader.reload()
        finally:
            self._notifier.ready()
