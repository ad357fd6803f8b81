"""What a head says about its connection and its body."""

from __future__ import annotations

from typing import Final

from sidecar.http.message import NO_BODY, Head, RequestHead, ResponseHead

_KEEP_ALIVE: Final = (b"keep-alive", b"Keep-Alive")
"""Nearly all that is said."""


def persists(head: Head) -> bool:
    """RFC 9112, section 9.3. Some clients still ask a proxy to close by Proxy-Connection."""
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
    """The members of a list (RFC 9110, section 5.6.1), in lower case."""
    return {token.strip() for token in value.lower().split(b",")}


def keep_alive_limit(hint: bytes) -> float:
    """Seconds that a server with this Keep-Alive field keeps an idle connection, less one.

    The one is for the way there. inf where it does not say.
    """
    for parameter in hint.lower().split(b","):
        name, _, value = parameter.strip().partition(b"=")
        if name == b"timeout" and value.isdigit() and len(value) < 10:
            return max(0.0, int(value) - 1.0)
    return float("inf")


def hops_left(head: RequestHead) -> int | None:
    """How often a request may be forwarded (RFC 9110, section 7.6.2); None: as often as one likes.

    0: whoever has it answers it. Of other methods than TRACE and OPTIONS the field says nothing.
    """
    value = head.fields.known.get(b"max-forwards")
    if value is None or head.method not in (b"OPTIONS", b"TRACE"):
        return None
    return int(value) if value.isdigit() and len(value) < 10 else None


def is_websocket(head: RequestHead) -> bool:
    """RFC 6455, section 4.1, of a head that asks for some upgrade. It may not carry a body."""
    return (
        head.method == b"GET"
        and head.minor == 1
        and head.body == NO_BODY
        and head.fields[b"upgrade"].lower() == b"websocket"
        and b"upgrade" in tokens(head.fields.get(b"connection", b""))
    )


def switches_protocols(head: ResponseHead) -> bool:
    """RFC 9110, section 15.2.2, of a 101."""
    return b"upgrade" in head.fields and b"upgrade" in tokens(head.fields.get(b"connection", b""))


def expects_continue(head: RequestHead) -> bool:
    """RFC 9110, section 10.1.1, of a head that has an Expect field."""
    return (
        head.minor == 1
        and head.body != NO_BODY
        and head.fields[b"expect"].lower() == b"100-continue"
    )
