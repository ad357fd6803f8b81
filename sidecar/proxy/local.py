"""Local replies: the sidecar answers without an upstream."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

from sidecar.errors import TraceRefused
from sidecar.http.fields import Fields
from sidecar.http.headers import REPLY_FIELDS
from sidecar.http.message import ResponseHead
from sidecar.llm.dialects import Dialect, error_body, of_request

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from sidecar.errors import CallError
    from sidecar.llm.failures import Failure
    from sidecar.proxy.call import Call
    from sidecar.proxy.record import AttemptRecord
    from sidecar.proxy.sink import Sink

_REASONS: Final = {
    200: b"OK",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    413: b"Content Too Large",
    414: b"URI Too Long",
    415: b"Unsupported Media Type",
    421: b"Misdirected Request",
    422: b"Unprocessable Content",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    451: b"Unavailable For Legal Reasons",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}


class LocalReply:
    """A reply that is complete from the start. It implements Reply (`reply.py`)."""

    ended = settled = True
    failure: Failure | None = None
    attempt: AttemptRecord | None = None
    """None unless it was made from an endpoint's reply."""
    tunnel: asyncio.Transport | None = None

    def __init__(self, call: Call, status: int, lines: bytes, body: bytes) -> None:
        """*lines*: header lines, each after a CRLF, without the framing headers."""
        head = self.head = ResponseHead()
        head.local = True
        head.status = status
        head.reason = _REASONS.get(status, b"Error")
        head.body = len(body)
        block = lines + b"\r\nContent-Length: %d" % len(body)
        head.fields = Fields(block, REPLY_FIELDS)
        # To a HEAD, the length without the body (RFC 9110, section 9.3.2).
        self._body = body if call.head.method != b"HEAD" else b""
        self.passed = 0

    def __repr__(self) -> str:
        return f"<LocalReply {self.head.status}, {self.head.body} bytes>"

    def write_into(self, sink: Sink) -> None:
        """Write all of it."""
        self.passed = len(self._body)
        sink.begin(self.head, [self._body] if self._body else [], True, ())

    async def finish(self) -> None:
        """Return at once: the reply is complete."""

    def on_settled(self, release: Callable[[], None]) -> None:
        """Call *release* at once: the reply holds nothing."""
        release()

    def abandon(self) -> None:
        """Do nothing: nothing is in flight."""

    def half_close(self) -> None:
        """Do nothing: it is not a tunnel."""


def error_reply(call: Call, error: CallError) -> LocalReply:
    """Return a reply that reports *error* in the caller's dialect."""
    body = error_body_of(dialect_of(call), error, call.request_id)
    lines = error_lines(error)
    if error.retry_after is not None:
        lines += _retry_after(error.retry_after)
    return LocalReply(call, error.status, lines, body)


def last_stop(call: Call) -> LocalReply:
    """Answer a request with `Max-Forwards: 0` as its last recipient (RFC 9110, section 7.6.2).

    Raise TraceRefused for a TRACE.
    """
    if call.head.method == b"TRACE":
        raise TraceRefused("the sidecar does not answer TRACE with Max-Forwards: 0")
    return LocalReply(call, 200, b"", b"")


def dialect_of(call: Call) -> Dialect:
    """Return the API whose errors the caller understands."""
    if call.dialect is not None:
        return call.dialect
    if call.route is not None:
        return call.route.upstream.dialect
    return of_request(call.head.target, call.head.fields)


def error_body_of(dialect: Dialect, error: CallError, request_id: bytes) -> bytes:
    """Return *error* as JSON, in the form that *dialect*'s SDKs read."""
    text = request_id.decode("latin-1")
    return error_body(dialect, error.status, error.code, error.message, text, error.param)


def error_lines(error: CallError) -> bytes:
    """Return the header lines of every local error."""
    lines = b"\r\nContent-Type: application/json\r\nx-sidecar-error: %b" % error.code.encode()
    # RFC 9110, sections 15.5.2 and 15.5.6: a 401 must name a scheme, a 405 the methods.
    if error.status == 401:
        lines += b"\r\nWWW-Authenticate: Bearer"
    elif error.status == 405:
        lines += b"\r\nAllow: " + error.allow
    return lines


def error_status_line(error: CallError) -> bytes:
    """Return the status line of a refusal, which has no call."""
    return b"HTTP/1.1 %d %b" % (error.status, _REASONS.get(error.status, b"Error"))


def _retry_after(seconds: float) -> bytes:
    """Whole seconds for all callers (RFC 9110, 10.2.3), milliseconds for the SDKs."""
    return b"\r\nRetry-After: %d\r\nretry-after-ms: %d" % (ceil(seconds), ceil(seconds * 1e3))
