"""The record of a call that has ended, and the sinks that take records."""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from sidecar.llm.dialects import Parameters
from sidecar.llm.spoken import Content

ZERO: Final = 0.0
"""No time, no cost. Fields are left out of a line if they hold this very object: msgspec compares
defaults by identity, not by value."""


class Try(msgspec.Struct, omit_defaults=True, gc=False):
    """One attempt of a call. Milliseconds count from the call's arrival."""

    endpoint: str
    why: str
    """first, retry, hedge, fallback or mirror."""
    began_ms: float
    """The endpoint was picked."""
    after: str = ""
    """What made it necessary: the status or the error code of the one before."""
    sent_ms: float = ZERO
    """The request began to go out, on a connection that was kept or made."""
    head_ms: float = ZERO
    """The endpoint's reply began to be passed on, or to be tried again."""
    content_ms: float = ZERO
    """The first content of a stream arrived."""
    ended_ms: float = ZERO
    status: int = 0
    error: str = ""
    verdict: str = ""
    """How its reply ended, where it was read; see the call's."""
    failure: str = ""
    """What kind of failure its reply told; see the call's."""
    span_id: str = ""
    """The parent id in the `traceparent` that the endpoint got."""
    reused: bool = False
    """Its connection had carried a call before."""
    replayed: bool = False
    """It was sent again, since that connection had died."""


class Note(msgspec.Struct, gc=False):
    """Something unusual that was decided for a call."""

    at_ms: float
    """Milliseconds since the call's arrival."""
    what: str
    """retry, no_retry, hedge, no_hedge, gate, admission, fallback, batch, joined, rule, shape,
    home, resume or error."""
    text: str
    """A sentence for people, whose wording may change."""


class CallRecord(msgspec.Struct, omit_defaults=True, gc=False):
    """What is kept of a call. A field that has its default is left out of the line."""

    time: float
    """When the call arrived, in Unix seconds; written as RFC 3339."""
    request_id: str
    trace_id: str = ""
    route: str = ""
    upstream: str = ""
    endpoint: str = ""
    dialect: str = ""
    model: str = ""
    method: str = ""
    path: str = ""
    """Without its query, which may hold keys."""
    status: int = 0
    """Sent downstream; 0 when the caller left before one was."""
    error: str = ""
    """`x-sidecar-error` code, when we failed the call."""
    attempts: int = 0
    replays: int = 0
    hedged: bool = False
    """A second attempt was made beside a slow first."""
    fallback: int = 0
    """Which of the route's fallbacks answered."""
    bytes_in: int = 0
    """Request body bytes received."""
    bytes_out: int = 0
    """Reply body bytes sent downstream."""
    duration_ms: float = ZERO
    first_byte_ms: float = ZERO
    stream: bool = False
    client: str = ""
    user_agent: str = ""
    operation: str = ""
    """What was asked for, in the API's terms: chat, embeddings."""
    model_answered: str = ""
    """The model that answered, where it says another name."""
    response_id: str = ""
    """The provider's own id of the reply."""
    input_tokens: int = 0
    """All that the model read."""
    cached_tokens: int = 0
    """Of these, from the provider's cache."""
    cache_write_tokens: int = 0
    """Of these, written into it."""
    output_tokens: int = 0
    """All that it made."""
    reasoning_tokens: int = 0
    """Of these, thoughts."""
    estimated: bool = False
    """The sidecar estimated the tokens, since the reply told none."""
    cost: float = ZERO
    """In the currency of `prices`."""
    team: str = ""
    """The team that the call is for, as a trusted caller says (`trust.team`)."""
    finish: str = ""
    """Why the answers ended, in the API's words, with commas between them."""
    verdict: str = ""
    """How the reply ended: complete, error, truncated, stalled, aborted or empty."""
    failure: str = ""
    """What kind of failure a reply that is one tells: rate_limit, overload, money and so on."""
    first_token_ms: float = ZERO
    """From the head's arrival to the first content of a stream."""
    longest_gap_ms: float = ZERO
    """Between two pieces of a stream, from the first content on."""
    conversation: str = ""
    """Conversation or session, as the caller names it: for correlation, never to trust."""
    provider_request_id: str = ""
    """The provider's own id of the request, for its support."""
    cache: str = ""
    """What the cache had for it: hit, miss, stale or bypass."""
    queue_ms: float = ZERO
    """Wait in admission queues."""
    connect_ms: float = ZERO
    """Wait of the attempt that answered for its connection: kept, queued for or made."""
    parent_id: str = ""
    """The span of the caller that the call belongs to; empty where the trace begins here."""
    sampled: bool = False
    """Whether the trace is sampled."""
    span_id: str = ""
    """The call's own span, to which those of its attempts belong; empty unless it is exported."""
    tries: tuple[Try, ...] = ()
    """Its attempts, in the order in which they began."""
    layers: tuple[str, ...] = ()
    """What its route has around an attempt, outermost first."""
    notes: tuple[Note, ...] = ()
    """What was unusual, in order."""


class SpanSink(Protocol):
    """Exports calls as spans."""

    def export(
        self, record: CallRecord, parameters: Parameters | None, content: Content | None = None
    ) -> None:
        """Take *record*, what its body asked for, and what was said.

        It must not block, and drops what it must.
        """


class RecordSink(Protocol):
    """Takes the records of calls."""

    def append(self, record: CallRecord) -> None:
        """Take *record*. It must not block, and drops what it can't keep."""


_CALL: Final = 1536
_TRY: Final = 512
_NOTE: Final = 256


def size_of(record: CallRecord) -> int:
    """Bytes that *record* takes, about: callers choose how long some of its texts are."""
    return (
        _CALL
        + len(record.path)
        + len(record.user_agent)
        + len(record.method)
        + len(record.model)
        + _TRY * len(record.tries)
        + _NOTE * len(record.notes)
    )
