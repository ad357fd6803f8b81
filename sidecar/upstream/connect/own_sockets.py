"""The sockets that this process dials, by which it recognises connections from itself.

A redirect that catches the sidecar too would make each call a new one, without end.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from sidecar.upstream.connect.descriptors import may_dial

if TYPE_CHECKING:
    from sidecar.upstream.connect.resolver import AddrInfo

_sockets: Final[WeakSet[socket.socket]] = WeakSet()
"""Sockets that are connecting or pooled: few. Closed sockets vanish from it."""
_kept: Final[set[tuple[str, int]]] = set()
"""Local addresses of sockets that may be many; their owner calls `forget`."""


def own_socket(info: AddrInfo) -> socket.socket:
    """Make a socket for *info* that `is_own` knows, from before it is connected.

    Raise OSError if there is no descriptor left for it.
    """
    sock = socket.socket(*info[:3])
    if not may_dial(sock.fileno()):
        sock.close()
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    sock.setblocking(False)
    _sockets.add(sock)
    return sock


def remember(sock: socket.socket) -> tuple[str, int]:
    """Remember *sock*, connected now, by its local address: for tunnels, which are many."""
    end: tuple[str, int] = sock.getsockname()[:2]
    _kept.add(end)
    _sockets.discard(sock)
    return end


def forget(end: tuple[str, int]) -> None:
    """Forget the address that `remember` returned: its socket is closed."""
    _kept.discard(end)


def is_own(peer: tuple[str, int]) -> bool:
    """Whether *peer*, which connects to us, is one of our own sockets."""
    return peer in _kept or any(_end(sock) == peer for sock in _sockets)


def _end(sock: socket.socket) -> tuple[str, int] | None:
    try:
        end: tuple[str, int] = sock.getsockname()[:2]
    except OSError:  # closed
        return None
    return end
