"""Accepts connections at one address, and sweeps over those that are open for timers."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from sidecar.http.limits import HeadLimits
from sidecar.listen.downstream import DownstreamConnection
from sidecar.listen.files import NO_FILES
from sidecar.observe.stats import ListenerStats
from sidecar.upstream.connect.keepalive import Tunable, is_gone, keep_alive

if TYPE_CHECKING:
    from sidecar.config.model import Access as AccessConfig
    from sidecar.config.model import Listener as Config
    from sidecar.listen.files import Files
    from sidecar.listen.intercept.tunnel import Tunnel
    from sidecar.policy.access import Access
    from sidecar.proxy.body.memory import BodyMemory
    from sidecar.proxy.recorder import Recorder
    from sidecar.proxy.routing.snapshot import Snapshot

_log: Final = logging.getLogger(__name__)
BACKLOG: Final = 1024
"""Connections that the kernel holds until we accept them."""
_SWEEP: Final = 1.0
"""Seconds between two sweeps over the timers of all connections; no timer here is finer."""
_SILENCE: Final = 60
"""Every so many sweeps look for dead peers: that takes a system call for each connection."""


class Current(Protocol):
    """What serves now: the snapshot, whether it drains, and the memory for bodies."""

    snapshot: Snapshot
    draining: bool
    body_memory: BodyMemory


class Listener:
    """Accepts connections for one `listeners` entry; `take` replaces that while it runs."""

    def __init__(
        self, config: Config, current: Current, recorder: Recorder, stats: ListenerStats
    ) -> None:
        self.config = config
        self.current = current
        self.recorder = recorder
        self.stats = stats
        self.loop = asyncio.get_running_loop()
        self.connections: set[DownstreamConnection] = set()
        self.tunnels: set[Tunnel] = set()
        """Connections that are passed through (in modes that intercept)."""
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self.files = NO_FILES
        self._access: Access | None = None
        self._access_config: AccessConfig | None = None
        self.retired = False
        self._told_of_pause = False
        self._sweeps = 0

    @property
    def limits(self) -> HeadLimits:
        """The size limits of connections that open from now on."""
        return self.config.limits.settings()

    @property
    def access(self) -> Access | None:
        """Who may call, as the configuration says now; None: anybody."""
        config = self.config.access
        if config is not self._access_config:
            self._access_config = config
            if config is None:
                self._access = None
                return None
            # Late: others don't pay for it in memory.
            from sidecar.listen.callers import know
            from sidecar.policy.access import Access

            if self._access is None:
                self._access = Access()
            know(self._access, config, self.files.keys)
        return self._access

    def take(self, config: Config, files: Files) -> None:
        """Serve as *config* says from now on, with what its files hold."""
        self.config = config
        self.files = files

    @property
    def name(self) -> str:
        """Its address, which is its name in logs and metrics."""
        return name_of(self.config)

    async def start(self) -> None:
        """Bind and accept. Raise OSError when the address can't be had."""

        def connection() -> DownstreamConnection:
            return DownstreamConnection(self)

        if self.config.path is not None:
            _remove_stale(self.config.path)
            self._server = await self.loop.create_unix_server(
                connection, self.config.path, backlog=BACKLOG
            )
        else:
            host, port = split_address(self.config.address or "")
            self._server = await self.loop.create_server(
                connection, host, port, backlog=BACKLOG, reuse_address=True
            )
            for sock in self._server.sockets:
                keep_alive(sock)  # those that it accepts have it from here
        self._sweep_later()

    @property
    def port(self) -> int:
        """The TCP port that it is bound to, also where the configuration has port 0."""
        if self._server is None or self.config.path is not None:
            return 0
        return int(self._server.sockets[0].getsockname()[1])

    def stop_accepting(self) -> None:
        """Accept no new connections, and close idle ones; calls that are being served go on."""
        if self._server is not None:
            self._server.close()
            self._server = None
            if self.config.path is not None:
                Path(self.config.path).unlink(missing_ok=True)
        self.close_idle()

    def retire(self) -> None:
        """Stop accepting: it is not configured any more, and ends with its last connection."""
        self.retired = True
        self.stop_accepting()

    def close_idle(self) -> None:
        """Close each connection once it has no call."""
        for connection in list(self.connections):
            connection.close_when_idle()

    def abort(self) -> None:
        """Close every connection at once."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self.connections):
            connection.cut_off()

    def opened(self, connection: DownstreamConnection) -> bool:
        """Count a connection. Return False when there are too many."""
        self.connections.add(connection)
        self.stats.accepted += 1
        self.stats.open += 1
        return len(self.connections) <= self.config.max_connections

    def closed(self, connection: DownstreamConnection) -> None:
        """Count a connection no more."""
        self.connections.discard(connection)
        self.stats.open -= 1

    def in_flight(self) -> int:
        """Count calls that are being served."""
        return sum(connection.call is not None for connection in self.connections)

    @property
    def empty(self) -> bool:
        """Whether no connection is open."""
        return not self.connections

    def _sweep_later(self) -> None:
        self._sweeper = self.loop.call_later(_SWEEP, self._sweep)

    def _sweep(self) -> None:
        if self.retired and self.empty:
            return
        self._sweep_later()
        self._look_after(time.monotonic())
        self._sweeps += 1
        if self._sweeps % _SILENCE == 0:
            self._check_silent()

    def _look_after(self, now: float) -> None:
        """Check the timers of all open connections."""
        for connection in list(self.connections):
            self._end_stray_pauses(connection)
            age = now - connection.since
            if connection.receiving_head:
                if age > self.config.head_timeout:
                    connection.time_out_head()
            elif connection.idle:
                if age > self.config.keep_alive:
                    connection.close_when_idle()
            else:
                connection.check_gone()

    def _check_silent(self) -> None:
        """Notice dead peers of connections with a call; TCP keep-alive notices idle ones'."""
        for connection in list(self.connections):
            if not connection.idle and any(map(is_gone, _sockets(connection))):
                connection.transport.abort()

    def _end_stray_pauses(self, connection: DownstreamConnection) -> None:
        """Resume reading where a bug left it paused: the next call would hang unseen."""
        reasons = connection.stray_pauses
        if not reasons:
            return
        connection.resume_reading(reasons)
        if not self._told_of_pause:
            self._told_of_pause = True
            _log.error("internal error: reading of a connection stayed paused, reasons %d", reasons)


def _sockets(connection: DownstreamConnection) -> list[Tunable]:
    """List the socket of *connection*, and the upstream one of a tunnel, which has no timer."""
    transports = [connection.transport]
    reply = connection.call.reply if connection.call is not None else None
    if reply is not None and reply.tunnel is not None:
        transports.append(reply.tunnel)
    found = (transport.get_extra_info("socket") for transport in transports)
    return [sock for sock in found if sock is not None]


def name_of(config: Config) -> str:
    """Name the listener of this configuration."""
    return f"unix:{config.path}" if config.path is not None else config.address or ""


def split_address(address: str) -> tuple[str, int]:
    """Split `host:port` or `[v6]:port`, which the configuration has checked."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _remove_stale(path: str) -> None:
    """Remove the socket that a killed predecessor left. Raise OSError for one that still answers.

    asyncio itself would remove either.
    """
    file = Path(path)
    if not file.exists() or not stat.S_ISSOCK(file.stat().st_mode):
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            file.unlink()
            return
        except BlockingIOError:
            pass  # it has no room for us, but it is there
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
