"""How much of a reply must be here before it goes downstream, after which nothing is retried.

Many servers send the head of a stream at once, and its first token seconds later: a head alone says
little. Nobody reads a reply in one piece before it is complete, so one that breaks off can be
retried elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.http.message import CHUNKED

if TYPE_CHECKING:
    from sidecar.http.message import ResponseHead
    from sidecar.proxy.call import Call
    from sidecar.proxy.exchange.reading import Reading
    from sidecar.proxy.request import Request

HELD: Final = 256 * 1024
"""Bytes of a reply that may be buffered."""

HEAD: Final = 0
"""Its head, and the rest of the same read."""
BEGUN: Final = 1
"""The first bytes of its body."""
WHOLE: Final = 2


def needed(call: Call, request: Request, head: ResponseHead, reading: Reading | None) -> int:
    """HEAD, BEGUN or WHOLE."""
    if not call.body.complete or head.status == 101:
        return HEAD
    kind = head.fields.known.get(b"content-type", b"")
    if head.status >= 400:
        # What kind of failure it is stands in its body, and decides what comes next.
        short = 0 < head.body <= HELD or head.body == CHUNKED
        return WHOLE if reading is not None and short and b"json" in kind else HEAD
    if head.status >= 300:
        return HEAD
    if b"event-stream" in kind:
        # Others may be subscriptions: the client must see the head before it causes an event.
        return BEGUN if request.stream or b":stream" in call.head.path else HEAD
    if b"json" not in kind:
        return HEAD
    if reading is not None and reading.stream is not None and not 0 < head.body <= HELD:
        return BEGUN  # an array that streams: Gemini's, without `alt=sse`
    verified = reading is not None and reading.verifies
    return WHOLE if 0 < head.body <= HELD or (verified and head.body < 0) else HEAD
