"""The connections that this process dials: who connects from one of their ends is ourselves.

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
"""Those that connect, and those in pools: few. Of a socket that is closed nothing is left here."""
_kept: Final[set[tuple[str, int]]] = set()
"""Ends of those that may be many, which their owner takes back."""


def own_socket(info: AddrInfo) -> socket.socket:
    """A socket for *info* that `is_own` knows, from before it is connected.

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
    """Know *sock*, connected now, by its end until that is forgotten: for those that are many."""
    end: tuple[str, int] = sock.getsockname()[:2]
    _kept.add(end)
    _sockets.discard(sock)
    return end


def forget(end: tuple[str, int]) -> None:
    """The socket that `remember` was called with is closed."""
    _kept.discard(end)


def is_own(peer: tuple[str, int]) -> bool:
    """Whether *peer*, who connects to us, is ourselves."""
    return peer in _kept or any(_end(sock) == peer for sock in _sockets)


def _end(sock: socket.socket) -> tuple[str, int] | None:
    try:
        end: tuple[str, int] = sock.getsockname()[:2]
    except OSError:  # closed
        return None
    return end
