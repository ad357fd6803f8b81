"""Heads as bytes: what is forwarded, what belongs to one connection only, how bodies are framed."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Final

from sidecar.http.message import Head, Header, RequestHead, ResponseHead

CHUNKED_LINE: Final = b"\r\nTransfer-Encoding: chunked"
CLOSE_LINE: Final = b"\r\nConnection: close"
KEEP_ALIVE_LINE: Final = b"\r\nConnection: keep-alive"
UPGRADE_LINES: Final = b"\r\nConnection: Upgrade\r\nUpgrade: websocket"

NOT_FORWARDED_DOWNSTREAM: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade"}
)
"""Fields of one connection (RFC 9110, section 7.6.1)."""
_FRAMING: Final = frozenset({b"content-length", b"host", b"transfer-encoding"})
"""Fields that `Connection` can't take away: without them the message would mean another."""
_PLAIN_OPTIONS: Final = frozenset(
    {b"close", b"keep-alive", b"Keep-Alive", b"Close", b"upgrade", b"Upgrade"}
)
_SET_UPSTREAM: Final = frozenset(
    {b"host", b"expect", b"traceparent", b"tracestate", b"x-request-id", b"x-trace-id"}
)
SAID_TO_US: Final = b"x-sidecar-"
"""How the names of request headers begin that are for the sidecar alone, trusted or not."""
_FOR_US: Final = frozenset({b"proxy-authorization"})
"""What a client shows its proxy (RFC 9110, section 11.7.2) is not for anybody behind it."""
NOT_FORWARDED_UPSTREAM: Final = NOT_FORWARDED_DOWNSTREAM | _SET_UPSTREAM | _FOR_US


def _dropped(head: Head, drops: frozenset[bytes]) -> frozenset[bytes]:
    options = head.fields.get(b"connection")
    if options is None or options in _PLAIN_OPTIONS:
        return drops
    return drops | (_tokens(options) - _FRAMING)


def _tokens(value: bytes) -> set[bytes]:
    return {token.strip() for token in value.lower().split(b",")}


def _lines(headers: Sequence[Header], drops: frozenset[bytes]) -> bytes:
    parts: list[bytes] = []
    for low, name, value in headers:
        if low not in drops:
            parts += (b"\r\n", name, b": ", value)
    return b"".join(parts)


def request_lines(head: RequestHead, replaced: Set[bytes] = frozenset()) -> bytes:
    """The caller's header lines as every attempt sends them, each after a CRLF.

    Without those that an attempt sets itself, what is said to the sidecar, and *replaced*, which
    has lower-case names.
    """
    if head.lines is not None and not replaced:
        return head.lines
    drops = _dropped(head, NOT_FORWARDED_UPSTREAM) | replaced
    drops |= {name for name in head.fields if name.startswith(SAID_TO_US)}
    lines = _lines(head.headers, drops)
    if b"te" in head.fields and b"trailers" in _tokens(head.fields[b"te"]):
        lines += b"\r\nConnection: TE\r\nTE: trailers"  # RFC 9110, section 10.1.4
    return lines


def response_lines(head: ResponseHead) -> bytes:
    """The server's header lines as they are sent downstream, each after a CRLF."""
    if head.lines is not None:
        return head.lines
    return _lines(head.headers, _dropped(head, NOT_FORWARDED_DOWNSTREAM))


def status_line(head: ResponseHead) -> bytes:
    """`HTTP/1.1 200 OK`: our version (RFC 9110, section 2.5), the server's status and reason."""
    return b"HTTP/1.1 %d %b" % (head.status, head.reason)


def chunk(data: bytes) -> bytes:
    """*data* as one chunk (RFC 9112, section 7.1). It must not be empty: that is the last one."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: Sequence[Header]) -> bytes:
    """The end of a chunked body."""
    if not trailers:
        return b"0\r\n\r\n"
    return b"0" + _lines(trailers, NOT_FORWARDED_DOWNSTREAM | _FRAMING) + b"\r\n\r\n"
