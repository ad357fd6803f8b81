"""Accepts sockets that are looked at before they are served: modes forward and capture, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from typing import TYPE_CHECKING, Final, NamedTuple

from sidecar.listen.closing import reset_on_close
from sidecar.listen.intercept.tunnel import Tunnel
from sidecar.listen.listener import BACKLOG, Listener, split_address
from sidecar.listen.tls_connection import SHUTDOWN
from sidecar.observe.shortage import note
from sidecar.upstream.connect.descriptors import FULL, may_accept
from sidecar.upstream.connect.keepalive import keep_alive

if TYPE_CHECKING:
    import ssl

    from sidecar.config.model import Listener as Config
    from sidecar.listen.downstream import DownstreamConnection
    from sidecar.listen.listener import Current
    from sidecar.observe.stats import ListenerStats
    from sidecar.proxy.recorder import Recorder

_log: Final = logging.getLogger(__name__)
_AT_ONCE: Final = 64
"""Connections that are accepted before others get their turn."""
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE: Final = 0.5
"""Seconds until accepting is tried again when the process has no file descriptors left."""
_LINGER: Final = 2.0
"""Seconds that a client gets to close its side, once it was refused."""
_DROPPED: Final = 64 * 1024
"""Bytes of what it still sends that are read at once."""
_LOOPBACK: Final = ("127.0.0.1", "::1")


class Peer(NamedTuple):
    """The address of the client."""

    host: str
    port: int


class RawListener(Listener):
    """Each connection has a task until it is known what becomes of it. Subclasses decide that."""

    def __init__(
        self, config: Config, current: Current, recorder: Recorder, stats: ListenerStats
    ) -> None:
        super().__init__(config, current, recorder, stats)
        self._sockets: list[socket.socket] = []
        self._arriving: set[asyncio.Task[None]] = set()
        self._ours: set[socket.socket] = set()
        """Accepted sockets that neither a connection nor a tunnel has taken over yet."""

    async def start(self) -> None:
        """Bind and accept. Raise OSError when the address can't be had."""
        self._sockets = await self._bind()
        for sock in self._sockets:
            self.loop.add_reader(sock, self._accept, sock)
        self._sweep_later()

    @property
    def port(self) -> int:
        """The TCP port that it got, where the configuration left it open (0)."""
        return int(self._sockets[0].getsockname()[1]) if self._sockets else 0

    def stop_accepting(self) -> None:
        """Take no new connections; those that are open go on."""
        self._close_sockets()
        self.close_idle()

    def abort(self) -> None:
        """Close every connection at once."""
        super().abort()
        for task in self._arriving:
            task.cancel()
        for tunnel in list(self.tunnels):
            tunnel.cut()

    def in_flight(self) -> int:
        """Count calls, and connections that are passed through."""
        return super().in_flight() + len(self.tunnels)

    @property
    def empty(self) -> bool:
        """Whether nothing is open."""
        return super().empty and not self.tunnels and not self._arriving

    def opened(self, connection: DownstreamConnection) -> bool:
        """Take in *connection*, which was counted when its socket was accepted."""
        self.connections.add(connection)
        return True

    async def carry(self, sock: socket.socket, peer: Peer) -> None:
        """Decide what becomes of *sock*, and hand it over or close it."""
        raise NotImplementedError

    async def serve(
        self,
        sock: socket.socket,
        connection: DownstreamConnection,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """Serve *sock* with *connection*, inside TLS where a *context* is given.

        Raise OSError if TLS can't be agreed on.
        """
        self._ours.discard(sock)
        tls = {}
        if context is not None:
            patience = float(self.config.head_timeout)
            tls = {"ssl_handshake_timeout": patience, "ssl_shutdown_timeout": SHUTDOWN}
        try:
            await self.loop.connect_accepted_socket(lambda: connection, sock, ssl=context, **tls)
        except BaseException:
            self._left()
            raise

    def tunnel(
        self,
        sock: socket.socket,
        peer: Peer,
        far: socket.socket,
        to: str,
        heads: tuple[bytes, bytes] = (b"", b""),
    ) -> Tunnel:
        """Pass *sock* on to *far*. *heads* are sent first: one to *far*, one to *sock*."""
        self._ours.discard(sock)
        tunnel = Tunnel(sock, far, peer.host, to, self.stats, self._tunnel_ended, heads)
        self.tunnels.add(tunnel)
        tunnel.start()
        return tunnel

    async def say(self, sock: socket.socket, reply: bytes) -> None:
        """Answer with *reply*, and close in stages, as `DownstreamConnection` does."""
        with contextlib.suppress(OSError, TimeoutError):
            sock.send(reply)
            sock.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(_LINGER):
                while await self.loop.sock_recv(sock, _DROPPED):
                    pass
        self.close(sock)

    def refuse(self, sock: socket.socket) -> None:
        """Close *sock* with a reset."""
        reset_on_close(sock)
        self.close(sock)

    def close(self, sock: socket.socket) -> None:
        """Close *sock*, which was not taken over."""
        self._ours.discard(sock)
        sock.close()
        self._left()

    def _left(self) -> None:
        self.stats.open -= 1

    def _tunnel_ended(self, tunnel: Tunnel) -> None:
        self.tunnels.discard(tunnel)
        self._left()

    async def _bind(self) -> list[socket.socket]:
        host, port = split_address(self.config.address or "")
        if host != "localhost":
            infos = await self.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return [_listening(family, address) for family, _, _, _, address in infos]
        first = _listening(socket.AF_INET, (_LOOPBACK[0], port))
        try:  # not every machine has IPv6
            same = first.getsockname()[1]
            return [first, _listening(socket.AF_INET6, (_LOOPBACK[1], same))]
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                first.close()
                raise
        return [first]

    def _close_sockets(self) -> None:
        for sock in self._sockets:
            self.loop.remove_reader(sock)
            sock.close()
        self._sockets = []

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, peer = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                note("listener", f"can't accept: {error.strerror}")
                self.loop.remove_reader(listening)
                self.loop.call_later(_PAUSE, self._accept_again, listening)
                return
            self._begin(sock, Peer(*peer[:2]))

    def _accept_again(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            self.loop.add_reader(listening, self._accept, listening)

    def _begin(self, sock: socket.socket, peer: Peer) -> None:
        self.stats.accepted += 1
        self.stats.open += 1
        many = len(self.connections) + len(self.tunnels) + len(self._arriving)
        room = may_accept(sock.fileno())
        if not room:
            note("listener", FULL)
        if many >= self.config.max_connections or not room:
            self.stats.refused[503] += 1
            self.refuse(sock)
            return
        sock.setblocking(False)
        self._ours.add(sock)
        task = self.loop.create_task(self._carry(sock, peer))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _carry(self, sock: socket.socket, peer: Peer) -> None:
        try:
            await self.carry(sock, peer)
        except (asyncio.CancelledError, ConnectionError):  # the sidecar stops, or the client left
            pass
        except Exception:
            _log.exception("internal error: a connection was closed")
        finally:
            if sock in self._ours:
                self.refuse(sock)

    def _look_after(self, now: float) -> None:
        super()._look_after(now)
        for tunnel in list(self.tunnels):
            tunnel.check_gone()

    def _check_silent(self) -> None:
        super()._check_silent()
        for tunnel in list(self.tunnels):
            tunnel.check_silent()


def _listening(family: int, address: object) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        keep_alive(sock)  # those that it accepts have it from here
        sock.bind(address)  # type: ignore[arg-type]
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
