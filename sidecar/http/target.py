"""Request targets and hosts: RFC 9112, section 3.2, and RFC 3986, section 3.2."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sidecar.http.message import RequestHead

_HOST: Final = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+(?:%25[\w.~-]+)?\]|[A-Za-z0-9\-._~!$&'()*+;=%]+)(?::\d{0,5})?"
)
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]*+)([^#]*+)", re.IGNORECASE)
_known: Final[dict[bytes, bytes]] = {}
"""Valid hosts with their lower-case form: callers send the same few. Bounded."""


def normal_host(host: bytes) -> bytes | None:
    """Return a valid `host[:port]` in lower case, without a dot at its end, or None.

    The dot only keeps a resolver from using its search list (RFC 1034, section 3.1): the host is
    the same.
    """
    found = _known.get(host)
    if found is not None:
        return found
    if len(host) > 261 or not _HOST.fullmatch(host):
        return None
    if len(_known) >= 1024:
        _known.clear()
    name, colon, port = host.lower().partition(b":")
    lower = _known[host] = (name.removesuffix(b".") or name) + colon + port
    return lower


def split_absolute(target: bytes) -> tuple[bytes, bytes] | None:
    """Split `http://host/path` into host and origin form; None for any other target.

    User information is refused, as RFC 9110, section 4.2.4 asks.
    """
    match = _ABSOLUTE.fullmatch(target)
    if match is None or b"@" in match[1]:
        return None
    path = match[2]
    return match[1], path if path.startswith(b"/") else b"/" + path


def host_name(host: bytes) -> bytes:
    """Return *host* without its port, and an IPv6 address without its brackets."""
    if host.startswith(b"["):
        return host[1 : host.find(b"]")]
    return host.partition(b":")[0]


def resolve_target(head: RequestHead) -> str | None:
    """Set host, path and origin form of a parsed *head*, or return what is wrong with them.

    RFC 9112, section 3.2: exactly one valid Host; an absolute target replaces it.
    """
    host = head.fields.known.get(b"host")
    if host is None and head.minor == 1:
        return "the Host header is missing"
    if host:
        lower = normal_host(host)
        if lower is None:
            return "the Host header is not one valid host"
        head.host = lower
    problem = _resolve_form(head)
    head.path = head.target.partition(b"?")[0]
    return problem


def _resolve_form(head: RequestHead) -> str | None:
    target = head.target
    if target[:1] == b"/":
        return "the target has a fragment" if b"#" in target else None
    if target == b"*" and head.method == b"OPTIONS":
        return None
    parts = split_absolute(target)
    host = normal_host(parts[0]) if parts else None
    if parts is None or host is None:
        return "the request target is neither a path nor a URL"
    asks_server = head.method == b"OPTIONS" and target.endswith(parts[0])
    head.host, head.target = host, b"*" if asks_server else parts[1]  # section 3.2.4
    return None
