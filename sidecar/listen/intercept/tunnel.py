"""Passes a connection on as it is: bytes both ways, half-close, resets, back-pressure.

Two sockets and no transports: what is idle costs next to nothing, and what flows is copied once
into a buffer that all tunnels share and once out of it. Only what the other side does not take at
once is kept, and nothing more is read until it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import time
from collections.abc import Callable
from typing import Any, Final, cast

from sidecar.listen.closing import reset_on_close
from sidecar.observe.stats import ListenerStats
from sidecar.upstream.connect import own_sockets as own
from sidecar.upstream.connect.keepalive import is_gone, keep_alive

_buffer: Final = memoryview(bytearray(256 * 1024))
"""Between a read and the write that follows it in the same step: one loop, so one buffer."""


class Tunnel:
    """A tunnel between *near*, the client's socket, and *far*, the server's. It owns both.

    *heads* are sent before what comes: to *far*, and to *near*.
    """

    __slots__ = (
        "_end",
        "_loop",
        "_on_end",
        "_stats",
        "_ways",
        "on_first",
        "peer",
        "since",
        "target",
    )

    def __init__(
        self,
        near: socket.socket,
        far: socket.socket,
        peer: str,
        target: str,
        stats: ListenerStats,
        on_end: Callable[[Tunnel], None],
        heads: tuple[bytes, bytes] = (b"", b""),
    ) -> None:
        self.since = time.monotonic()
        self.peer = peer
        self.target = target
        self._loop = asyncio.get_running_loop()
        self._stats = stats
        self._on_end = on_end
        self._end = own.remember(far)
        for sock in (near, far):
            _tune(sock)
        self.on_first: Callable[[bool], None] | None = None
        """Called when one side sends the first byte, with whether it was the server."""
        out, back = heads
        self._ways = (_Direction(self, near, far, out), _Direction(self, far, near, back))

    def start(self) -> None:
        """Let bytes flow."""
        self._stats.passing += 1
        for way in self._ways:
            way.start()

    def cut(self) -> None:
        """End the tunnel at once with a reset to both sides, which neither takes for a FIN."""
        for way in self._ways:
            with contextlib.suppress(OSError):
                reset_on_close(way.source)
        self._close()

    def check_gone(self) -> None:
        """Notice a side that broke while it is not read, where no event tells."""
        if any(way.is_broken() for way in self._ways):
            self.cut()

    def check_silent(self) -> None:
        """Notice a side that acknowledges nothing of what was sent to it."""
        if any(is_gone(way.source) for way in self._ways):
            self.cut()

    def _begins(self, way: _Direction) -> None:
        client, server = self._ways
        if self.on_first is None or client.begun or server.begun:
            return
        if not client.ended:  # what a server says to a client that has left tells nothing
            self.on_first(way is server)

    def _refused(self, way: _Direction) -> None:
        """The sink of *way* takes no more. What it said before that goes on, as without us."""
        back = self._ways[1] if way is self._ways[0] else self._ways[0]
        back.empty()
        self.cut()

    def _passed(self, way: _Direction, count: int) -> None:
        if way is self._ways[0]:
            self._stats.passed_out += count
        else:
            self._stats.passed_in += count

    def _ended(self) -> None:
        if all(way.ended for way in self._ways):
            self._close()

    def _close(self) -> None:
        own.forget(self._end)
        for way in self._ways:
            self._loop.remove_reader(way.source)
            self._loop.remove_writer(way.source)
        for way in self._ways:
            way.source.close()
        self._ways = cast("Any", ())  # each refers to this tunnel
        self._stats.passing -= 1
        self._on_end(self)


class _Direction:
    """One direction of a tunnel: it reads, buffers what its sink does not take, or has ended."""

    __slots__ = ("_held", "_tunnel", "active", "begun", "ended", "sink", "source")

    def __init__(
        self, tunnel: Tunnel, source: socket.socket, sink: socket.socket, head: bytes
    ) -> None:
        self.source = source
        self.sink = sink
        self.begun = False
        self.active = False
        """Whether anything came since we last looked."""
        self.ended = False
        self._held = memoryview(head) if head else None
        self._tunnel = tunnel

    def start(self) -> None:
        """Let bytes flow, behind what is buffered."""
        if self._held is None:
            self._tunnel._loop.add_reader(self.source, self.readable)
        else:
            self._tunnel._loop.add_writer(self.sink, self._writable)

    def readable(self) -> None:
        """Read what came and write it to the sink."""
        tunnel = self._tunnel
        try:
            count = self.source.recv_into(_buffer)
        except BlockingIOError:
            return
        except OSError:
            tunnel.cut()
            return
        if not count:
            tunnel._loop.remove_reader(self.source)
            self._finish()
            return
        self.active = True
        if not self.begun:
            tunnel._begins(self)
            self.begun = True
        try:
            sent = self._send(_buffer[:count])
        except OSError:
            tunnel._refused(self)
            return
        tunnel._passed(self, sent)
        if sent < count:
            self._held = memoryview(bytes(_buffer[sent:count]))
            tunnel._loop.remove_reader(self.source)
            tunnel._loop.add_writer(self.sink, self._writable)

    def empty(self) -> None:
        """Write what is left in the source to the sink, as far as it takes it at once; then end."""
        if self._held is not None:
            return
        with contextlib.suppress(OSError):
            while count := self.source.recv_into(_buffer):
                sent = self.sink.send(_buffer[:count])
                self._tunnel._passed(self, sent)
                if sent < count:
                    return

    def is_broken(self) -> bool:
        """Whether the source was reset without our noticing.

        It is not read while something is held, nor behind its end. And libuv ends its watch on a
        socket that has an error, after one last event: behind what that event brings, nothing is
        read any more.
        """
        if not self.active and self._held is None and not self.ended:
            return False
        self.active = False
        poll = select.poll()
        poll.register(self.source, 0)
        return bool(poll.poll(0))  # POLLERR and POLLHUP come unasked

    def _writable(self) -> None:
        held = self._held
        if held is None:
            return
        try:
            sent = self._send(held)
        except OSError:
            self._tunnel._refused(self)
            return
        self._tunnel._passed(self, sent)
        if sent < len(held):
            self._held = held[sent:]
            return
        self._held = None
        self._tunnel._loop.remove_writer(self.sink)
        self._tunnel._loop.add_reader(self.source, self.readable)

    def _send(self, data: memoryview) -> int:
        try:
            return self.sink.send(data)
        except BlockingIOError:
            return 0

    def _finish(self) -> None:
        """Pass the end on, unless the sink has gone meanwhile."""
        self.ended = True
        with contextlib.suppress(OSError):
            self.sink.shutdown(socket.SHUT_WR)
        self._tunnel._ended()


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    keep_alive(sock)
