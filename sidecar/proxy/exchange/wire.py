"""A request as bytes: what one attempt sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.http.headers import CHUNKED_LINE, UPGRADE_LINES, request_end, request_lines
from sidecar.http.message import CHUNKED

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from sidecar.http.message import Header
    from sidecar.proxy.call import Call
    from sidecar.proxy.request import Request
    from sidecar.upstream.endpoints.endpoint import Origin


_OF_THE_BODY: Final = frozenset(
    {
        b"content-digest", b"content-encoding", b"content-length", b"content-md5", b"digest",
        b"repr-digest",
    }
)  # fmt: skip
"""Headers that are dropped with a replaced body, which has no coding."""


def request_head(call: Call, request: Request, place: Origin, span_id: bytes) -> bytes:
    """Return the head for *place*: the caller's lines and ours, with the span *span_id*."""
    return b"%b %b%b HTTP/1.1\r\nHost: %b%b\r\ntraceparent: %b\r\n\r\n" % (
        request.method,
        place.base,
        request.target,
        place.authority,
        _lines(call, request),
        call.trace.traceparent(span_id),
    )


def chunked(call: Call, request: Request) -> bool:
    """Whether the body is sent in chunks: as it arrived if it streams, or with trailers."""
    return call.head.body == CHUNKED and request.content is None


def framing(call: Call, request: Request, size: int) -> tuple[bytes, bytes]:
    """Return what goes before and after a complete body of *size* bytes."""
    if not chunked(call, request):
        return b"", b""
    end = end_of_body(request, call.body.trailers)
    return (b"%x\r\n" % size, b"\r\n" + end) if size else (b"", end)


def end_of_body(request: Request, trailers: Sequence[Header]) -> bytes:
    """Return the end of a chunked body. Trailers can't repeat a header of ours."""
    return request_end(trailers, request.edits.keys())


def _lines(call: Call, request: Request) -> bytes:
    head, edits, content = call.head, request.edits, request.content
    replaced: Set[bytes] = edits.keys()
    if content is not None:
        replaced = replaced | _OF_THE_BODY
    lines = request_lines(head, replaced) + _ids(call)
    if content or (content is not None and request.method != b"GET"):  # RFC 9110, section 8.6
        lines += b"\r\nContent-Length: %d" % len(content)
    if call.trace.tracestate is not None:
        lines += b"\r\ntracestate: " + call.trace.tracestate
    if edits:
        lines += b"".join(edits.values())
    if chunked(call, request):
        lines += CHUNKED_LINE
    if head.upgrade:
        lines += UPGRADE_LINES
    return lines


def _ids(call: Call) -> bytes:
    """Both ids; only ours where the caller's own trace id stays."""
    if b"x-trace-id" in call.head.fields.known:
        return b"\r\nx-request-id: " + call.request_id
    return call.ids
