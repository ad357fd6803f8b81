"""Where a connection was going before the kernel redirected it here (Linux, netfilter)."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

_SO_ORIGINAL_DST: Final = 80
"""linux/netfilter_ipv4.h; IP6T_SO_ORIGINAL_DST of netfilter_ipv6/ip6_tables.h is the same."""
_V4: Final = struct.Struct("!2xH4s8x")
"""sockaddr_in: family, port, address."""
_V6: Final = struct.Struct("!2xH4x16s4x")
"""sockaddr_in6: family, port, flow, address, scope."""


class Destination(NamedTuple):
    """The host and port that a connection is for."""

    host: str
    """A name, or an address without brackets."""
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def original_destination(sock: socket.socket) -> Destination | None:
    """Return where *sock* was going before it was redirected; None if it was not redirected."""
    try:
        if sock.family == socket.AF_INET:
            port, v4 = _V4.unpack(sock.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, _V4.size))
            target = Destination(str(IPv4Address(v4)), port)
        else:
            raw = sock.getsockopt(socket.IPPROTO_IPV6, _SO_ORIGINAL_DST, _V6.size)
            port, v6 = _V6.unpack(raw)
            target = Destination(str(IPv6Address(v6)), port)
    except OSError:  # ENOENT: the kernel has redirected nothing
        return None
    return None if target == sock.getsockname()[:2] else target


def is_here(address: str) -> bool:
    """Whether *address* belongs to this machine: only such addresses can be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
