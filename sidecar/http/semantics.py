"""What a head means for its connection and its body."""

from __future__ import annotations

from typing import Final

from sidecar.http.message import NO_BODY, Head, RequestHead, ResponseHead

_KEEP_ALIVE: Final = (b"keep-alive", b"Keep-Alive")
"""The most common values."""


def persists(head: Head) -> bool:
    """Whether the connection persists (RFC 9112, 9.3). Some clients still use Proxy-Connection."""
    known = head.fields.known
    options = known.get(b"connection")
    proxied = known.get(b"proxy-connection")
    if proxied is None:
        if options is None:
            return head.minor == 1
        if options in _KEEP_ALIVE:
            return True
    names = tokens(b",".join(filter(None, (options, proxied))))
    return b"close" not in names and (head.minor == 1 or b"keep-alive" in names)


def tokens(value: bytes) -> set[bytes]:
    """Return the members of a list (RFC 9110, section 5.6.1), in lower case."""
    return {token.strip() for token in value.lower().split(b",")}


def keep_alive_limit(hint: bytes) -> float:
    """Return the seconds for which a server with this Keep-Alive field keeps an idle connection.

    One second is subtracted for the way there. inf if the field names no time.
    """
    for parameter in hint.lower().split(b","):
        name, _, value = parameter.strip().partition(b"=")
        if name == b"timeout" and value.isdigit() and len(value) < 10:
            return max(0.0, int(value) - 1.0)
    return float("inf")


def hops_left(head: RequestHead) -> int | None:
    """Return Max-Forwards (RFC 9110, section 7.6.2); None: no limit.

    0: the recipient answers. The field applies to TRACE and OPTIONS only.
    """
    value = head.fields.known.get(b"max-forwards")
    if value is None or head.method not in (b"OPTIONS", b"TRACE"):
        return None
    return int(value) if value.isdigit() and len(value) < 10 else None


def is_websocket(head: RequestHead) -> bool:
    """Whether an upgrade is a WebSocket handshake (RFC 6455, section 4.1), without a body."""
    return (
        head.method == b"GET"
        and head.minor == 1
        and head.body == NO_BODY
        and head.fields[b"upgrade"].lower() == b"websocket"
        and b"upgrade" in tokens(head.fields.get(b"connection", b""))
    )


def switches_protocols(head: ResponseHead) -> bool:
    """Whether a 101 is valid (RFC 9110, section 15.2.2)."""
    return b"upgrade" in head.fields and b"upgrade" in tokens(head.fields.get(b"connection", b""))


def expects_continue(head: RequestHead) -> bool:
    """Whether a head with Expect asks for 100-continue (RFC 9110, section 10.1.1)."""
    return (
        head.minor == 1
        and head.body != NO_BODY
        and head.fields[b"expect"].lower() == b"100-continue"
    )
