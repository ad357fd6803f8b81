"""Requests to a forward proxy: CONNECT, or a request in absolute form.

RFC 9110, section 9.3.6 and RFC 9112, sections 3.2.2 and 3.2.3.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

from sidecar.http.message import RequestHead
from sidecar.http.semantics import hops_left
from sidecar.http.target import host_name, normal_host, split_absolute

MAX_HEAD: Final = 32 * 1024
"""Bytes of a head that are read. The listener's limits handle a longer one."""

_CONNECT: Final = re.compile(
    rb"CONNECT (\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5}) HTTP/1\.[01]\r?\n"
)
_ABSOLUTE: Final = re.compile(rb"[A-Z]{1,20} (http://[^ \r\n]*) HTTP/1\.[01]\r?\n", re.IGNORECASE)
_BEGINS: Final = re.compile(rb"[A-Za-z]{1,20}\Z|[A-Za-z]{1,20} (?:\Z|[^/])")
"""The beginning of one of the two."""
_END: Final = re.compile(rb"\n\r?\n")
_NOT_FORWARDED: Final = frozenset(
    {
        b"connection", b"host", b"keep-alive", b"proxy-authorization", b"proxy-connection", b"te",
        b"upgrade",
    }
)  # fmt: skip
"""Hop-by-hop fields, without those that frame the body, which is passed on unchanged."""


class Form(Enum):
    """The kind of a request."""

    CONNECT = "connect"
    """A tunnel to host and port."""
    ABSOLUTE = "absolute"
    """A request in absolute form."""
    OTHER = "other"
    """Anything else: a request to the sidecar itself, or unknown bytes."""


class Asked(NamedTuple):
    """The beginning of a connection to a forward proxy."""

    form: Form
    host: str = ""
    """In lower case; an IPv6 address without its brackets."""
    port: int = 0
    size: int = 0
    """Bytes of the head."""


def read_asked(data: bytes) -> Asked | None:
    """Read *data*; None while its head is incomplete. Never None from `MAX_HEAD` bytes on."""
    if not data:
        return None
    other = Asked(Form.OTHER)
    if not _BEGINS.match(data):
        return other
    end = _END.search(data, 0, MAX_HEAD)
    if end is None:
        return None if len(data) < MAX_HEAD else other
    if (found := _CONNECT.match(data)) is not None:
        host, port = host_name(found[1]).decode().lower().removesuffix("."), int(found[2])
        return Asked(Form.CONNECT, host, port, end.end()) if 0 < port < 65536 else other
    if (found := _ABSOLUTE.match(data)) is not None:
        return _absolute(found[1], end.end()) or other
    return other


def _absolute(url: bytes, size: int) -> Asked | None:
    parts = split_absolute(url)
    host = normal_host(parts[0]) if parts else None
    if host is None:
        return None
    name = host_name(host).decode("latin-1")
    port = host[len(name) + 2 * (host[:1] == b"[") :].removeprefix(b":") or b"80"
    return Asked(Form.ABSOLUTE, name, int(port), size) if 0 < int(port) < 65536 else None


def passed_on_head(head: RequestHead) -> bytes:
    """Return *head*, which has the absolute form, as it is sent to its origin.

    The connection ends with the reply, because the next request may be for another origin.
    """
    drops = _NOT_FORWARDED | _named(head.fields.get(b"connection", b""))
    left = hops_left(head)
    if left is not None:
        drops |= {b"max-forwards"}
    lines = head.fields.without(drops)
    if left is not None:
        lines += b"\r\nMax-Forwards: %d" % (left - 1)
    return b"%b %b HTTP/1.1\r\nHost: %b%b\r\nConnection: close\r\n\r\n" % (
        head.method,
        head.target,
        head.host,
        lines,
    )


def _named(options: bytes) -> frozenset[bytes]:
    """Return the fields that `Connection` names (RFC 9110, 7.6.1), except body framing."""
    names = {option.strip() for option in options.lower().split(b",")}
    return frozenset(names - {b"content-length", b"transfer-encoding"})
