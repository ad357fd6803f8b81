"""Write heads as bytes: which fields are forwarded, and how bodies are framed."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Final

from sidecar.http.fields import Fields, Header, Wanted
from sidecar.http.keys import keys_among
from sidecar.http.message import RequestHead, ResponseHead
from sidecar.http.semantics import tokens

CHUNKED_LINE: Final = b"\r\nTransfer-Encoding: chunked"
CLOSE_LINE: Final = b"\r\nConnection: close"
KEEP_ALIVE_LINE: Final = b"\r\nConnection: keep-alive"
UPGRADE_LINES: Final = b"\r\nConnection: Upgrade\r\nUpgrade: websocket"

NOT_FORWARDED_DOWNSTREAM: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade"}
)
"""Hop-by-hop fields (RFC 9110, section 7.6.1)."""
_FRAMING: Final = frozenset({b"content-length", b"host", b"transfer-encoding"})
"""Fields that `Connection` can't remove: without them the message would change its meaning."""
_PLAIN_OPTIONS: Final = frozenset(
    {b"close", b"keep-alive", b"Keep-Alive", b"Close", b"upgrade", b"Upgrade"}
)
_SET_UPSTREAM: Final = frozenset(
    {b"host", b"expect", b"traceparent", b"tracestate", b"x-request-id"}
)
INTERNAL_PREFIX: Final = b"x-sidecar-"
"""Prefix of headers that are only for the sidecar, trusted or not, or only from it: on upstreams'
replies they would look like ours."""
_FOR_PROXY: Final = frozenset({b"proxy-authorization"})
"""Credentials for a proxy (RFC 9110, section 11.7.2), which are not forwarded."""
NOT_FORWARDED_UPSTREAM: Final = NOT_FORWARDED_DOWNSTREAM | _SET_UPSTREAM | _FOR_PROXY
_LENGTH: Final = frozenset({b"content-length"})
_NOT_IN_TRAILERS: Final = _FRAMING | frozenset(
    {
        b"cache-control", b"content-encoding", b"content-range", b"content-type", b"if-match",
        b"if-modified-since", b"if-none-match", b"if-range", b"if-unmodified-since",
        b"max-forwards", b"pragma", b"range", b"trailer",
        b"x-trace-id",
    }
)  # fmt: skip
"""Fields that, like keys, are only valid in a request's head: framing, routing, controls and how to
read the body (RFC 9110, section 6.5.1). A server that merges trailers into the head would apply
them."""


REQUEST_FIELDS: Final = Wanted(
    NOT_FORWARDED_UPSTREAM
    | _FRAMING
    | {
        b"accept-encoding", b"agent-session-id", b"authorization", b"api-key", b"content-encoding",
        b"content-type", b"cookie", b"max-forwards", b"session_id", b"user-agent",
        b"x-agent-session", b"x-api-key", b"x-claude-code-session-id", b"x-goog-api-key",
        b"x-stainless-read-timeout", b"x-stainless-retry-count", b"x-trace-id",
    },
    INTERNAL_PREFIX,
)  # fmt: skip
"""The fields that we read in every request."""
REPLY_FIELDS: Final = Wanted(
    NOT_FORWARDED_DOWNSTREAM
    | _FRAMING
    | {
        b"apim-request-id", b"content-encoding", b"content-type", b"endpoint-load-metrics",
        b"request-id", b"retry-after", b"x-amzn-requestid", b"x-request-id", b"x-should-retry",
        b"x-trace-id",
    },
    INTERNAL_PREFIX,
)  # fmt: skip
"""The fields that we read in every reply."""


def _dropped(fields: Fields, drops: frozenset[bytes]) -> frozenset[bytes]:
    for name in fields.known:
        if name[:10] == INTERNAL_PREFIX:
            drops |= {name}
    options = fields.known.get(b"connection")
    if options is None or options in _PLAIN_OPTIONS:
        return drops
    return drops | (tokens(options) - _FRAMING)


def _lines(headers: Sequence[Header], drops: frozenset[bytes]) -> bytes:
    parts: list[bytes] = []
    for low, name, value in headers:
        if low not in drops:
            parts += (b"\r\n", name, b": ", value)
    return b"".join(parts)


def request_lines(head: RequestHead, replaced: Set[bytes] = frozenset()) -> bytes:
    """Return the caller's header lines as every attempt sends them, each after a CRLF.

    They lack those that an attempt sets itself, those for the sidecar, and *replaced* (lower-case
    names).
    """
    fields = head.fields
    drops = NOT_FORWARDED_UPSTREAM
    if replaced:
        drops |= replaced
    lines = fields.without(_dropped(fields, drops))
    if b"te" in fields.known and b"trailers" in tokens(fields.known[b"te"]):
        lines += b"\r\nConnection: TE\r\nTE: trailers"  # RFC 9110, section 10.1.4
    return lines


def response_lines(head: ResponseHead) -> bytes:
    """Return the server's header lines as they are sent downstream, each after a CRLF."""
    if head.local:
        return head.fields.block
    drops = _dropped(head.fields, NOT_FORWARDED_DOWNSTREAM)
    if head.status == 204 or head.status < 200:
        # RFC 9110, section 8.6: these have no body, but some readers would wait for one.
        drops |= _LENGTH
    return head.fields.without(drops)


def status_line(head: ResponseHead) -> bytes:
    """`HTTP/1.1 200 OK`: our version (RFC 9110, section 2.5), the server's status and reason."""
    return b"HTTP/1.1 %d %b" % (head.status, head.reason)


def chunk(data: bytes) -> bytes:
    """Return *data* as one chunk (RFC 9112, 7.1). It must not be empty: that ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def request_end(trailers: Sequence[Header], replaced: Set[bytes] = frozenset()) -> bytes:
    """Return the end of a chunked request body. Headers that are not forwarded are no trailers.

    *replaced*: lower-case names of headers that an attempt sets itself.
    """
    if not trailers:
        return _last_chunk((), frozenset())
    keys = keys_among(name for name, _, _ in trailers) | replaced
    return _last_chunk(trailers, NOT_FORWARDED_UPSTREAM | _NOT_IN_TRAILERS | keys)


def response_end(trailers: Sequence[Header]) -> bytes:
    """Return the end of a chunked reply body."""
    return _last_chunk(trailers, NOT_FORWARDED_DOWNSTREAM | _FRAMING)


def _last_chunk(trailers: Sequence[Header], drops: frozenset[bytes]) -> bytes:
    if not trailers:
        return b"0\r\n\r\n"
    kept = [trailer for trailer in trailers if not trailer[0].startswith(INTERNAL_PREFIX)]
    return b"0" + _lines(kept, drops) + b"\r\n\r\n"
