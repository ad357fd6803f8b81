"""What a head says about its connection and its body."""

from __future__ import annotations

import re
from typing import Final

from sidecar.http.message import CHUNKED, NO_BODY, RequestHead, ResponseHead

_REASON: Final = re.compile(rb"[\t -~\x80-\xff]*")


def valid_reason(reason: bytes, longest: int) -> bool:
    """RFC 9112, section 4: no control characters; and no longer than *longest* bytes."""
    return reason == b"OK" or (len(reason) <= longest and _REASON.fullmatch(reason) is not None)


def persists(head: ResponseHead) -> bool:
    """RFC 9112, section 9.3."""
    options = head.fields.get(b"connection")
    if options is None:
        return head.minor == 1
    tokens = {token.strip() for token in options.lower().split(b",")}
    return b"close" not in tokens and (head.minor == 1 or b"keep-alive" in tokens)


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
    value = head.fields.get(b"max-forwards")
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
    )


def expects_continue(head: RequestHead) -> bool:
    """RFC 9110, section 10.1.1, of a head that has an Expect field."""
    return (
        head.minor == 1
        and head.body != NO_BODY
        and head.fields[b"expect"].lower() == b"100-continue"
    )


def framing_of(head: RequestHead) -> bytes:
    """A request head that frames the same body and says nothing else; empty without a body."""
    if head.body == NO_BODY:
        return b""
    framing = (
        b"Transfer-Encoding: chunked" if head.body == CHUNKED else b"Content-Length: %d" % head.body
    )
    last = b"" if head.keep_alive else b"\r\nConnection: close"
    return b"POST / HTTP/1.1\r\n" + framing + last + b"\r\n\r\n"
