"""Notice a peer that is gone without a word, and keep silent connections known on their way.

A NAT or a load balancer forgets a connection that is silent for minutes (AWS: 350 s, Azure: 240 s),
and a reasoning model is silent for as long. SDKs set keep-alive on their sockets for that reason;
where we take their place, ours must have it.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Final, Protocol

_IDLE: Final = 60
"""Seconds of silence before the first probe, as the Anthropic SDK sets it."""
_INTERVAL: Final = 30
_PROBES: Final = 4
GONE_AFTER: Final = _IDLE + _PROBES * _INTERVAL
"""Seconds after which a peer that answers no probe is gone."""
_OPTIONS: Final = (
    ("TCP_KEEPIDLE", _IDLE),
    ("TCP_KEEPINTVL", _INTERVAL),
    ("TCP_KEEPCNT", _PROBES),
)
_USER_TIMEOUT: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)
_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)
_INFO: Final = struct.Struct("=8B13I")
"""The start of Linux' struct tcp_info, which only ever grows at its end."""
_PROBED, _UNACKED, _LAST_ACK = 3, 12, 20
"""Where in it stand: unanswered probes, segments without an acknowledgement, and how many
milliseconds ago the last one came."""


class Tunable(Protocol):
    """A socket, or a transport's view of one."""

    @property
    def family(self) -> int:
        """Its address family."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        """As of a socket."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """As of a socket."""


def keep_alive(sock: Tunable) -> None:
    """Probe the peer while the connection is silent. A listening socket hands it on to its own."""
    if not _is_tcp(sock):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS:
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def give_up_unanswered(sock: Tunable, seconds: float) -> None:
    """End the connection when what was sent is not acknowledged for *seconds*.

    With 0 that is up to the kernel: some 15 minutes (tcp(7), tcp_retries2).

    It also ends one whose peer keeps its window shut for as long, though it lives (RFC 5482 leaves
    that open, Linux does it): not for connections that may have to wait for such a peer.
    """
    if _USER_TIMEOUT is not None and _is_tcp(sock):
        with contextlib.suppress(OSError):  # it is closed already
            sock.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, int(seconds * 1000))


def is_gone(sock: Tunable) -> bool:
    """Whether something was sent to the peer, and it has acknowledged nothing for `GONE_AFTER`.

    Unlike the kernel's timeout it does not take a peer for gone that answers that it takes no more:
    such a one is probed at least every 120 s.
    """
    if _TCP_INFO is None or not _is_tcp(sock):
        return False
    try:
        data = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _INFO.size)
    except OSError:
        return False
    if len(data) < _INFO.size:
        return False
    info: tuple[int, ...] = _INFO.unpack(data)
    waits = info[_UNACKED] > 0 or info[_PROBED] > 0
    return waits and info[_LAST_ACK] >= GONE_AFTER * 1000


def _is_tcp(sock: Tunable) -> bool:
    return sock.family in (socket.AF_INET, socket.AF_INET6)
