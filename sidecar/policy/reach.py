"""Who may use a forward proxy, and where it may connect: it must not bypass a firewall.

Public addresses are allowed. Others (loopback, private, link-local as the metadata servers of
clouds are, shared, multicast: RFC 6890 and its successors) only if they are allowed, whether they
are written plainly or inside an IPv6 address (RFC 4291, RFC 6052, RFC 3056).

What is public is decided by the tables below, not by `ipaddress.is_global`, which says different
things in different versions of Python and misses some networks in all of them.
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

_NOT_PUBLIC_V4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared by the customers of a provider (RFC 6598)
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local; metadata servers of clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments; Oracle Cloud's metadata server is 192.0.0.192
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4, given up (RFC 7526)
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved; broadcast
        ),
    )
)
"""IANA's IPv4 special-purpose registry, and multicast."""
_PUBLIC_V6: Final = IPv6Network("2000::/3")
"""All that IANA gives out as global unicast. What is outside of it (unique local, link-local,
site-local, multicast, IPv4-compatible, RFC 8215's local NAT64, RFC 7915's translated addresses,
RFC 9602's segment ids) is not public, or means an IPv4 address that we would not see."""
_NOT_PUBLIC_V6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments; Teredo, which wraps an IPv4 address
            "2001:db8::/32",  # documentation
            "3fff::/20",  # documentation (RFC 9637)
        ),
    )
)
"""IANA's IPv6 special-purpose registry, as far as it is inside of `_PUBLIC_V6`. 6to4 (2002::/16) is
judged by the IPv4 address in it."""


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
    """Where connections may go."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._hosts: list[str] = []
        networks: list[str] = []
        for text in allowed:
            (networks if _is_network(text) else self._hosts).append(text)
        self._networks = Networks(networks)

    def allows(self, host: str, address: str) -> bool:
        """Whether connections to *address*, which *host* resolves to, are allowed."""
        return (
            public(address)
            or self._networks.have(address)
            or any(_fits(pattern, host) for pattern in self._hosts)
        )


def public(address: str) -> bool:
    """Whether *address* is public."""
    found = plain(address)
    if isinstance(found, IPv4Address):
        return not any(found in network for network in _NOT_PUBLIC_V4)
    return found in _PUBLIC_V6 and not any(found in network for network in _NOT_PUBLIC_V6)


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
