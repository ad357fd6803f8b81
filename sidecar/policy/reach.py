"""Who may use a forward proxy, and where it may connect to: it must not be a way around a wall.

A public address is for all. Others (loopback, private, link-local as the metadata servers of
clouds are, shared, multicast: RFC 6890 and its successors) only if they are allowed, whether they
are written plainly or inside an IPv6 address (RFC 4291, RFC 6052, RFC 3056).
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

_NAT64: Final = IPv6Network("64:ff9b::/96")


class Networks:
    """A set of networks."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(text) for text in texts]

    def have(self, address: str) -> bool:
        """Whether *address*, a numeric one, is in one of them."""
        return self._have(plain(address))

    def _have(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._networks)


class Reach:
    """Where connections may be passed on to."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._hosts: list[str] = []
        networks: list[str] = []
        for text in allowed:
            (networks if _is_network(text) else self._hosts).append(text)
        self._networks = Networks(networks)

    def allows(self, host: str, address: str) -> bool:
        """Whether *address*, which *host* stands for, may be connected to."""
        return (
            public(address)
            or self._networks.have(address)
            or any(_fits(pattern, host) for pattern in self._hosts)
        )


def public(address: str) -> bool:
    """Whether *address* is one of the open internet, for all to reach."""
    found = plain(address)
    return found.is_global and not found.is_multicast


def plain(address: str) -> IPv4Address | IPv6Address:
    """*address* as it will be reached: IPv4 that is wrapped in IPv6, unwrapped; no zone."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv4Address):
        return found
    if found in _NAT64:
        return IPv4Address(int(found) & 0xFFFFFFFF)
    return found.ipv4_mapped or found.sixtofour or found


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _fits(pattern: str, host: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) >= len(pattern)
    return host == pattern
