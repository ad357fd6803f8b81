"""Rules for hosts, ports and networks in a configuration.

Each rule takes a text and returns what is wrong with it, without quoting it, or None.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from msgspec import Struct

_LABEL: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
PORT: Final = re.compile(r"[0-9]{1,5}")


class Address(Struct, frozen=True):
    """`HOST:PORT`, with the host in its shortest spelling."""

    host: str
    port: int


def parse_address(text: str) -> Address | None:
    """Take apart `HOST:PORT` or `[IPV6]:PORT`; None for anything else. Port 0: any free one."""
    host, _, port = text.rpartition(":")
    if not PORT.fullmatch(port) or int(port) > 65535:
        return None
    if host.startswith("["):
        return Address(str(IPv6Address(host[1:-1])), int(port)) if is_v6(host) else None
    if not is_host(host):
        return None
    return Address(host.lower(), int(port))


def address(text: str) -> str | None:
    """`HOST:PORT`."""
    return None if parse_address(text) else "expected HOST:PORT, as 127.0.0.1:14001 or [::1]:14001"


def loopback(text: str) -> str | None:
    """`HOST:PORT` that only this machine (or pod) can reach."""
    parsed = parse_address(text)
    if parsed is None or parsed.host == "localhost":
        return address(text)
    try:
        inside = ip_address(parsed.host).is_loopback
    except ValueError:
        inside = False
    return None if inside else "must be a loopback address, as 127.0.0.1:14010: it takes commands"


def server_name(text: str) -> str | None:
    """A name or address that a certificate can be for."""
    return None if is_host(text) or is_v6(f"[{text}]") else "expected a host name"


def network(text: str) -> str | None:
    """An address, or a network in CIDR notation whose host bits are zero."""
    wrong = "expected a network, as 10.0.0.0/8 or fd00::/8"
    try:
        ip_network(text)
    except ValueError:
        return wrong
    return wrong if "%" in text else None  # an interface's zone means nothing elsewhere


def is_v6(bracketed: str) -> bool:
    """Whether it is an IPv6 address in brackets, without a zone."""
    if bracketed[:1] != "[" or bracketed[-1:] != "]" or "%" in bracketed:
        return False
    try:
        return IPv6Address(bracketed[1:-1]) is not None
    except AddressValueError:
        return False


def _is_v4(text: str) -> bool:
    try:
        return IPv4Address(text) is not None
    except AddressValueError:
        return False


def is_host(text: str) -> bool:
    """Whether it is an IPv4 address or a name (RFC 1123, and the underscore of container names)."""
    labels = text.removesuffix(".").split(".")
    if labels[-1].isdigit():  # "1.2.3" and "300.1.1.1" are no names either
        return _is_v4(text)
    return len(text) <= 253 and all(map(_LABEL.fullmatch, labels))
