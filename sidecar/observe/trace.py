"""W3C trace context: continue the caller's trace when it is valid, begin one when it is not.

https://www.w3.org/TR/trace-context/ (level 1) and https://www.w3.org/TR/trace-context-2/ (level 2:
the random flag, lenient tracestate keys). Bytes in, bytes out: it runs once per call.
"""

from __future__ import annotations

import re
from binascii import hexlify
from collections.abc import Callable, Sequence
from typing import Final

SAMPLED: Final = 0x01
"""The caller may have recorded the trace."""
RANDOM: Final = 0x02
"""At least the right-most 7 bytes of the trace id are random (level 2)."""
_KNOWN: Final = SAMPLED | RANDOM
NONE: Final = 2**56
"""A threshold that no trace reaches: nothing is sampled."""
_FLAGS: Final = (b"-00", b"-01", b"-02", b"-03")

GetRandBits = Callable[[int], int]
"""`random.Random.getrandbits`, bound."""

# The look-aheads refuse version ff and ids that are all zero (level 1, 3.2.2). Lower case only.
_TRACEPARENT: Final = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?",
    re.DOTALL,
).fullmatch

# Level 2's key, and a value without "," and "=". Blanks that end a value were stripped before, so
# that it cannot be empty nor end in one. The classes are disjoint from "=": no backtracking.
_MEMBER: Final = re.compile(rb"[a-z0-9][a-z0-9_\-*/@]{0,255}=[ -+\--<>-~]{1,256}").fullmatch
_TRACE_ID: Final = re.compile(rb"(?!0{32})[0-9a-f]{32}").fullmatch
_MAX_MEMBERS: Final = 32
_OWS: Final = b" \t"


def parse_traceparent(value: bytes) -> tuple[bytes, bytes, int] | None:
    """Read one `traceparent` header: (trace id, parent id, known flags), ids in lower-case hex.

    None when it must be ignored. Surrounding blanks are allowed. Version 00 is read by the letter
    and its reserved flags are cleared. Of a higher version only what this one knows is read: ids
    and the sampled flag, then the end or a dash (level 1, 3.2.4).
    """
    match = _TRACEPARENT(value.strip(_OWS))
    if match is None:
        return None
    version, trace_id, parent_id, flags, rest = match.groups()
    if version != b"00":
        return trace_id, parent_id, int(flags, 16) & SAMPLED
    if rest is not None:
        return None
    return trace_id, parent_id, int(flags, 16) & _KNOWN


def clean_tracestate(values: Sequence[bytes]) -> bytes | None:
    """Combine repeated `tracestate` headers in order; None when nothing is to be sent on.

    Blanks around members and empty members go. One invalid member, or more than 32, discards the
    whole list. There is no cut at the 512 characters that must at least be sent on: the grammar
    itself ends at about 16 KiB. Repeated keys are not ours to judge and stay.
    """
    members = b",".join(values).split(b",", _MAX_MEMBERS)
    if len(members) > _MAX_MEMBERS:
        return None
    kept = [member for raw in members if (member := raw.strip(_OWS))]
    if not kept or not all(map(_MEMBER, kept)):
        return None
    return b",".join(kept)


def new_trace_id(getrandbits: GetRandBits) -> bytes:
    """Make a random trace id: 32 lower-case hex digits, never all zero."""
    return hexlify((getrandbits(128) or 1).to_bytes(16, "big"))


def new_span_id(getrandbits: GetRandBits) -> bytes:
    """Make a random span id: 16 lower-case hex digits, never all zero."""
    return hexlify((getrandbits(64) or 1).to_bytes(8, "big"))


def threshold(ratio: float) -> int:
    """Return what the last 7 bytes of a trace id must reach, so that *ratio* of traces do.

    All who go by the same ratio choose the same traces (OpenTelemetry, TraceState: probability
    sampling).
    """
    return round((1 - ratio) * NONE)


def traceparent(trace_id: bytes, span_id: bytes, flags: int) -> bytes:
    """Write a `traceparent` of version 00; *flags* are those that this version knows."""
    return b"00-" + trace_id + b"-" + span_id + _FLAGS[flags]


class TraceContext:
    """The trace that a call belongs to. The call and each attempt have spans in it."""

    __slots__ = ("_getrandbits", "flags", "parent_id", "trace_id", "tracestate")

    def __init__(
        self,
        getrandbits: GetRandBits,
        trace_id: bytes,
        parent_id: bytes | None,
        flags: int,
        tracestate: bytes | None,
    ) -> None:
        self._getrandbits = getrandbits
        self.trace_id = trace_id
        self.parent_id = parent_id
        """The caller's span; None when the trace begins here."""
        self.flags = flags
        self.tracestate = tracestate

    def child(self) -> bytes:
        """Make the id of a new span."""
        return new_span_id(self._getrandbits)

    def traceparent(self, span_id: bytes) -> bytes:
        """Write the header of a request sent in span *span_id*."""
        return traceparent(self.trace_id, span_id, self.flags)


def receive(
    traceparents: Sequence[bytes],
    tracestates: Sequence[bytes],
    getrandbits: GetRandBits,
    wanted: bytes = b"",
    reject: int = NONE,
) -> TraceContext:
    """Continue the trace of a request's headers, or begin one, with the id *wanted* if it is one.

    A repeated `traceparent` is as good as none. Without a valid one, `tracestate` means nothing
    (level 1, 3.3). A trace that begins here is random, and sampled if its id reaches the threshold
    *reject*.
    """
    parent = parse_traceparent(traceparents[0]) if len(traceparents) == 1 else None
    if parent is None:
        known = bool(_TRACE_ID(wanted))
        trace_id = wanted if known else new_trace_id(getrandbits)
        flags = 0 if known else RANDOM
        if reject < NONE and int(trace_id[-14:], 16) >= reject:
            flags |= SAMPLED
        return TraceContext(getrandbits, trace_id, None, flags, None)
    state = clean_tracestate(tracestates) if tracestates else None
    return TraceContext(getrandbits, *parent, state)
