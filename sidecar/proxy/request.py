"""A call's request as an attempt sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.http.headers import CHUNKED_LINE, UPGRADE_LINES, request_end, request_lines
from sidecar.http.keys import PROTOCOL, keys_among, protocols_without_keys, without_keys
from sidecar.http.message import CHUNKED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecar.http.message import Header
    from sidecar.proxy.call import Call
    from sidecar.upstream.endpoint import Place


_OF_THE_BODY: Final = frozenset(
    {
        b"content-digest", b"content-encoding", b"content-length", b"content-md5", b"digest",
        b"repr-digest",
    }
)  # fmt: skip
"""What no longer holds of a body in which another model was put: it is sent without a coding."""


def request_head(call: Call, place: Place) -> bytes:
    """The head for *place*: the caller's lines and ours, and a new span of the call's trace."""
    lines = call.lines
    if lines is None:
        lines = call.lines = _lines(call)
    trace = call.trace
    return b"%b %b%b HTTP/1.1\r\nHost: %b%b\r\ntraceparent: %b\r\n\r\n" % (
        call.head.method,
        place.base,
        without_keys(call.target) if call.keyless else call.target,
        place.authority,
        lines,
        trace.traceparent(trace.child()),
    )


def framing(call: Call, size: int) -> tuple[bytes, bytes]:
    """What stands before and behind a whole body of *size* bytes."""
    if call.head.body != CHUNKED or call.content is not None:
        return b"", b""
    end = end_of_body(call, call.body.trailers)
    return (b"%x\r\n" % size, b"\r\n" + end) if size else (b"", end)


def end_of_body(call: Call, trailers: Sequence[Header]) -> bytes:
    """The end of a chunked body. No trailer says what a credential of ours says."""
    return request_end(trailers, call.credential[0] if call.credential else b"")


def _lines(call: Call) -> bytes:
    """What is the same for every attempt."""
    head = call.head
    lines = request_lines(head, _replaced(call)) + _ids(call) + call.asks
    if call.content is not None:
        lines += b"\r\nContent-Length: %d" % len(call.content)
    if call.hops_left is not None:
        lines += b"\r\nMax-Forwards: %d" % (call.hops_left - 1)
    if call.trace.tracestate is not None:
        lines += b"\r\ntracestate: " + call.trace.tracestate
    if call.keyless and PROTOCOL in head.fields:
        lines += _protocols(head.fields[PROTOCOL])
    if call.credential is not None:
        lines += call.credential[1]
    if head.body == CHUNKED and call.content is None:
        lines += CHUNKED_LINE
    if head.upgrade:
        lines += UPGRADE_LINES
    return lines


def _replaced(call: Call) -> set[bytes]:
    """Headers of the caller's that are left out, or written anew."""
    replaced = {call.credential[0]} if call.credential else set()
    if call.content is not None:
        replaced |= _OF_THE_BODY
    if call.hops_left is not None:
        replaced.add(b"max-forwards")
    if call.keyless:
        replaced |= keys_among(call.head.fields) | {PROTOCOL}
    return replaced


def _ids(call: Call) -> bytes:
    """Both, or the one that is ours where the caller's own trace id stays."""
    if b"x-trace-id" in call.head.fields:
        return b"\r\nx-request-id: " + call.request_id
    return call.ids


def _protocols(offered: bytes) -> bytes:
    kept = protocols_without_keys(offered)
    return b"\r\nSec-WebSocket-Protocol: " + kept if kept else b""
