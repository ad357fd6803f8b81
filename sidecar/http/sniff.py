"""Classify the first bytes of a connection (TLS, HTTP/1, or neither), and find their host.

A wrong guess must be harmless: bytes that are not clearly a request or a ClientHello are `OTHER`,
and their connection is passed through.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

from sidecar.http.client_hello import MAX_HELLO, ClientHello, Unread, read_hello
from sidecar.http.target import host_name, normal_host

MAX_SNIFFED: Final = MAX_HELLO
"""Bytes that are read at most."""

_METHOD: Final = re.compile(rb"[A-Z]{1,20}\Z|[A-Z]{1,20} (?:[/*]|\Z)")
"""The beginning of a request in origin form; requests to a proxy have other forms."""
_LINE: Final = re.compile(rb"[A-Z]+ [^ \r\n]+ HTTP/1\.[01]\r?\n")
_HOST: Final = re.compile(rb"\n[Hh][Oo][Ss][Tt]:[ \t]*+([^\r\n]*+)\r?\n")
"""Possessive, so that blanks match in only one way and its time is linear."""
_END: Final = re.compile(rb"\n\r?\n")


class Protocol(Enum):
    """The protocol of a connection."""

    TLS = "tls"
    HTTP = "http"
    OTHER = "other"
    """HTTP/2 without TLS, requests to another proxy, and unknown protocols."""


class Sniffed(NamedTuple):
    """What the first bytes of a connection show."""

    protocol: Protocol
    host: str | None = None
    """In lower case, without port; None if there is none."""
    hello: ClientHello | None = None


_OTHER: Final = Sniffed(Protocol.OTHER)


def sniff(data: bytes) -> Sniffed | None:
    """Classify *data*; None while more is needed. Never None from `MAX_SNIFFED` bytes on."""
    if not data:
        return None
    if data[0] == 0x16:
        hello = read_hello(data)
        if isinstance(hello, ClientHello):
            return Sniffed(Protocol.TLS, hello.server_name, hello)
        return None if hello is Unread.MORE else _OTHER
    return _request(data[:MAX_SNIFFED])


def _request(data: bytes) -> Sniffed | None:
    if not _METHOD.match(data) or data.startswith(b"PRI "):
        return _OTHER
    if b"\n" in data and not _LINE.match(data):
        return _OTHER
    end = _END.search(data)
    found = _HOST.search(data, 0, end.end() if end else len(data))
    if found is not None:
        host = normal_host(found[1].rstrip(b" \t"))
        return Sniffed(Protocol.HTTP, host_name(host).decode("latin-1") if host else None)
    if end is not None:
        return Sniffed(Protocol.HTTP)
    return _OTHER if len(data) >= MAX_SNIFFED else None
