"""What serves now: the snapshot, the endpoints behind it and the listeners in front of it."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sidecar.ca.folder import default_folder
from sidecar.config.model import Calls as CallsConfig
from sidecar.control.memory import available_memory
from sidecar.control.tracing import Tracing
from sidecar.control.warm_up import WarmUp
from sidecar.listen.files import NO_FILES, read_files
from sidecar.listen.listener import Listener, name_of
from sidecar.observe.access_log import AccessLog
from sidecar.observe.calls import Calls, CallsSettings
from sidecar.observe.conventions import Conventions
from sidecar.observe.lines import Line, line_of, text_line
from sidecar.observe.stats import ListenerStats, Stats
from sidecar.proxy.body.memory import DEFAULT_SHARE, BodyMemory
from sidecar.proxy.recorder import NO_ROUTE, Recorder
from sidecar.proxy.routing.shared_state import SharedState
from sidecar.proxy.routing.snapshot import Snapshot, compile_snapshot
from sidecar.upstream.connect import descriptors
from sidecar.upstream.endpoints.registry import Registry
from sidecar.upstream.off_loop import off_loop

if TYPE_CHECKING:
    from sidecar.config.load import Loaded
    from sidecar.config.model import AccessLog as AccessLogConfig
    from sidecar.config.model import Buffers, Config, Intercept
    from sidecar.config.model import Listener as ListenerConfig
    from sidecar.listen.files import Files
    from sidecar.listen.intercept.modes import InterceptingListeners
    from sidecar.observe.semconv import Version

_log: Final = logging.getLogger(__name__)
_POLL: Final = 0.05
_LAST_REPLIES: Final = 2.0


class Serving:
    """Owned by the data plane's loop. `snapshot` is replaced by one store; calls keep theirs."""

    def __init__(self, stats: Stats) -> None:
        self.stats = stats
        self.recorder = Recorder(stats)
        self.access_log: AccessLog | None = None
        self.calls = Calls(_kept(CallsConfig()))
        self.snapshot: Snapshot
        self.listeners: dict[str, Listener] = {}
        self._starting: dict[str, Listener] = {}
        """Of a configuration that does not serve yet."""
        self._retired: list[Listener] = []
        """Gone from the configuration, but maybe not their connections."""
        self.draining = False
        self.body_memory = BodyMemory(0, 0.0)
        stats.body_memory = self.body_memory
        self.registry = Registry(stats)
        self._shared = SharedState()
        self._warm_up = WarmUp(self)
        self._gates: InterceptingListeners | None = None
        self._told_of = 0
        """How few connections the limit of open files leaves, if that was said."""
        self._log_config: AccessLogConfig | None = None
        self._tracing = Tracing(self.recorder, stats.spans)

    async def apply(self, loaded: Loaded) -> None:
        """Serve *loaded* from the next call on. Raise OSError and change nothing if it can't be.

        In order: bind what is new (which may fail), swap, let go of what is gone.
        """
        log = None
        config, transaction = loaded.config, self._shared.begin()
        try:
            tls = await off_loop(partial(self.registry.secure, config.upstreams))
            binding = self.registry.bind(config.upstreams, tls)
            snapshot = compile_snapshot(loaded, binding.upstreams, self.stats, transaction)
            tracing = await self._tracing.prepare(config.tracing)
            log = await off_loop(partial(self._new_log, config))
            await _publish(config.intercept)
            files = await off_loop(partial(self._read_files, config))
            if not self.listeners:
                self._set_buffers(config.buffers)
            started = await self._start_listeners(config, snapshot, files)
        except OSError:
            self._undo(log)
            raise
        # No await below: a call sees the old configuration or the new one, never some of both.
        self.snapshot = snapshot
        self._set_buffers(config.buffers)
        self._set_conventions(config.metrics.semconv)
        self.registry.commit(binding)
        self.registry.keep_scopes(snapshot.scopes)
        self._shared.commit(transaction)
        self._swap_log(config, log)
        self._keep_calls(config.calls)
        self._tracing.swap(tracing)
        self._swap_listeners(config, started, files)
        self._warm_up.configure(config.store.warm_up)
        self._forget_routes(snapshot)

    def _set_buffers(self, config: Buffers) -> None:
        if config.request_bodies is None:
            total = int(available_memory() * DEFAULT_SHARE)
        else:
            total = int(config.request_bodies)
        self.body_memory.configure(total, float(config.wait))

    def _set_conventions(self, version: Version | None) -> None:
        """Count under the names of *version*; anew if they were others."""
        counted = self.stats.conventions
        if version != (counted and counted.version):
            self.stats.conventions = None if version is None else Conventions(version)

    def _undo(self, log: AccessLog | None) -> None:
        """Leave no trace of a configuration that can't be had."""
        if log is not None:
            log.close()
        self.registry.forget()
        if self.listeners:
            self._forget_routes(self.snapshot)

    async def drain(self, deadline: float) -> bool:
        """Let calls end, taking new ones meanwhile; at *deadline* (seconds) cut what is left.

        True when every call ended by itself.
        """
        self.start_draining()
        whole = await _until(lambda: not self.in_flight(), deadline)
        for listener in self.listeners.values():
            listener.stop_accepting()
        if whole:  # last replies may still be on their way
            await _until(self._is_empty, min(deadline, _LAST_REPLIES))
        self.abort()
        self._warm_up.stop()
        await self._shared.close(_LAST_REPLIES)
        self.registry.close()
        await asyncio.sleep(0)
        return whole

    def abort(self) -> None:
        """Cut off every call at once."""
        for listener in self._all_listeners():
            listener.abort()

    def start_draining(self) -> None:
        """Close each connection after its call from now on; new ones are still served."""
        self.draining = True
        for listener in self.listeners.values():
            listener.close_idle()

    def in_flight(self) -> int:
        """Calls that are being served, and connections that are passed through."""
        return sum(listener.in_flight() for listener in self._all_listeners())

    def abandon(self) -> None:
        """Accept nothing more: the start is broken off."""
        for listener in (*self._all_listeners(), *self._starting.values()):
            listener.retire()

    def close_log(self) -> None:
        """Write what the access log still holds."""
        if self.access_log is not None:
            self.access_log.close()

    async def close_tracing(self) -> None:
        """Send the spans that wait, as far as the collector takes them at once."""
        await self._tracing.close()

    def _all_listeners(self) -> tuple[Listener, ...]:
        return (*self.listeners.values(), *self._retired)

    def _is_empty(self) -> bool:
        return all(listener.empty for listener in self._all_listeners())

    def _new_listener(self, entry: ListenerConfig, stats: ListenerStats) -> Listener:
        if entry.mode == "reverse" and entry.tls is None:
            return Listener(entry, self, self.recorder, stats)
        # Late: what intercepts nothing, and has no TLS, need not know how.
        if entry.mode == "reverse":
            from sidecar.listen.tls_listener import TlsListener

            return TlsListener(entry, self, self.recorder, stats)
        if self._gates is None:
            from sidecar.listen.intercept.modes import InterceptingListeners

            self._gates = InterceptingListeners()
        return self._gates.listener(entry, self, self.recorder, stats)

    def _read_files(self, config: Config) -> dict[str, Files]:
        """Read what files of listeners hold, by the listeners' names. Raise OSError."""
        listeners = self.listeners
        return {
            (name := name_of(entry)): read_files(
                entry, listeners[name].files if name in listeners else NO_FILES
            )
            for entry in config.listeners
        }

    async def _start_listeners(
        self, config: Config, snapshot: Snapshot, files: Mapping[str, Files]
    ) -> dict[str, Listener]:
        started = self._starting = dict[str, Listener]()
        if not self.listeners:
            self.snapshot = snapshot  # the first: connections may come before we return
        try:
            for entry in config.listeners:
                name = name_of(entry)
                if name in self.listeners:
                    _check_kind(self.listeners[name], entry)
                    continue
                stats = self.stats.listeners.setdefault(name, ListenerStats())
                started[name] = self._new_listener(entry, stats)
                started[name].take(entry, files[name])
                await started[name].start()
        except OSError as error:
            for listener in started.values():
                listener.retire()
            raise OSError(error.errno, f"cannot listen on {name}: {_said(error)}") from error
        return started

    def _swap_listeners(
        self, config: Config, started: dict[str, Listener], files: Mapping[str, Files]
    ) -> None:
        wanted = {name_of(entry): entry for entry in config.listeners}
        self._retired = [listener for listener in self._retired if not listener.empty]
        for name in self.listeners.keys() - wanted.keys():
            self._retired.append(listener := self.listeners.pop(name))
            listener.retire()
        for name, listener in self.listeners.items():
            listener.take(wanted[name], files[name])
        self.listeners |= started
        wanted_connections = sum(entry.max_connections for entry in config.listeners)
        if wanted_connections > descriptors.ceilings.accepted != self._told_of:
            self._told_of = descriptors.ceilings.accepted
            _log.warning(
                "the open file limit allows fewer connections than max_connections; raise it",
                extra={"connections": self._told_of, "max_connections": wanted_connections},
            )

    def _new_log(self, config: Config) -> AccessLog | None:
        wanted = config.access_log
        if wanted == self._log_config or wanted.path is None:
            return None
        return AccessLog(wanted.path, wanted.max_queued, self._dropped, partial(_form, wanted))

    def _swap_log(self, config: Config, log: AccessLog | None) -> None:
        if config.access_log == self._log_config:
            return
        self._log_config = config.access_log
        old, self.access_log = self.access_log, log
        if log is not None:
            self.recorder.sinks.append(log)
        if old is not None:
            self.recorder.sinks.remove(old)
            # Closing waits for the disk.
            self._closing = asyncio.create_task(off_loop(old.close))

    def _keep_calls(self, config: CallsConfig) -> None:
        self.calls.configure(_kept(config))
        sinks, wanted = self.recorder.sinks, config.keep + config.errors + config.slow > 0
        if wanted and self.calls not in sinks:
            sinks.append(self.calls)
        elif not wanted and self.calls in sinks:
            sinks.remove(self.calls)

    def _dropped(self, count: int) -> None:
        self.stats.log_dropped += count

    def _forget_routes(self, snapshot: Snapshot) -> None:
        """Routes that are gone are counted no more, once their calls have ended."""
        names = {(rule.route.name, rule.route.upstream.name) for rule in snapshot.router.rules}
        for key, stats in list(self.stats.routes.items()):
            if key not in names and key != NO_ROUTE and not stats.in_flight:
                del self.stats.routes[key]
        for gone in self.stats.upstreams.keys() - snapshot.upstreams.keys():
            del self.stats.upstreams[gone]
        for task in self.stats.tasks.keys() - snapshot.config.tasks.keys():
            del self.stats.tasks[task]


def _form(config: AccessLogConfig, terminal: bool) -> Line:
    """Tell how lines of the access log are made."""
    if config.format == "text" or (config.format == "auto" and terminal):
        return text_line
    return line_of(config.fields, config.omit)


def _kept(config: CallsConfig) -> CallsSettings:
    return CallsSettings(config.keep, config.errors, config.slow, int(config.bytes))


async def _publish(settings: Intercept) -> None:
    """Write what makes programs trust the local CA. Raise OSError if it can't be."""
    if settings.publish is None:
        return
    from sidecar.ca.trust import publish

    ca = Path(settings.ca) if settings.ca else default_folder()
    await off_loop(partial(publish, ca, Path(settings.publish), os.environ))


def _check_kind(listener: Listener, entry: ListenerConfig) -> None:
    """Refuse another kind: an address can't be bound again before the old listener is closed."""
    for what, changed in (
        ("the mode of a listener", listener.config.mode != entry.mode),
        ("whether a listener has TLS", (listener.config.tls is None) != (entry.tls is None)),
    ):
        if changed:
            raise OSError(
                errno.EADDRINUSE, f"{what} can't change while it is open; use another address"
            )


async def _until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for *condition*, at most *seconds*. Looks 20 times a second: only a shutdown does."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition():
        if loop.time() >= end:
            return False
        await asyncio.sleep(_POLL)
    return True


def _said(error: OSError) -> str:
    """Return the reason, without the address that uvloop and asyncio put before it."""
    return (error.strerror or str(error)).rpartition("): ")[2]
