"""What is known of a call when it ends, as it is at hand, and the record that is made of it.

Every call ends so, and few are looked at. What is kept of it is therefore encoded as it is: one
object of some hundred bytes, not dozens that would cost time and memory.
"""

from __future__ import annotations

import msgspec

from sidecar.llm.usage import Usage
from sidecar.observe.record import ZERO, CallRecord, Note, Try


class EndedTry(msgspec.Struct, array_like=True, gc=False):
    """One attempt. Times are monotonic seconds; None for what has not happened."""

    endpoint: str
    why: str
    after: str
    began: float
    sent: float | None
    head: float | None
    content: float | None
    ended: float | None
    status: int
    error: str
    verdict: str
    failure: str
    span_id: bytes
    reused: bool
    replayed: bool


class EndedCall(msgspec.Struct, array_like=True, gc=False):
    """A call. For what is not told here see `CallRecord`. Times are monotonic seconds."""

    at: float
    """When it arrived, in Unix seconds."""
    arrived: float
    ended: float
    first_byte: float | None
    content: float | None
    """When the first content of its stream came."""
    gap: float
    """The longest time between two pieces of the stream after that, in seconds."""
    queued: float
    """Seconds that it waited."""
    connected: float
    """Seconds that the attempt which answered waited for its connection."""
    request_id: bytes
    trace_id: bytes
    parent_id: bytes | None
    sampled: bool
    route: str
    upstream: str
    endpoint: str
    dialect: str
    layers: tuple[str, ...]
    method: bytes
    path: bytes
    user_agent: bytes
    client: str
    conversation: str
    operation: str
    model: str
    model_answered: str
    stream: bool
    status: int
    error: str
    fallback: int
    bytes_in: int
    bytes_out: int
    cache: str
    team: str
    provider_request_id: bytes
    response_id: str
    finish: str
    verdict: str
    failure: str
    usage: Usage | None
    cost: float
    tries: list[EndedTry]
    notes: list[tuple[float, str, str]]


def record_of(call: EndedCall) -> CallRecord:
    """Return what is told of *call*, in milliseconds since its arrival."""
    arrived = call.arrived
    usage = call.usage or Usage()
    replays = sum(attempt.replayed for attempt in call.tries)
    return CallRecord(
        call.at,
        call.request_id.decode("latin-1"),
        call.trace_id.decode(),
        call.route,
        call.upstream,
        call.endpoint,
        call.dialect,
        call.model,
        call.method.decode("latin-1"),
        call.path.decode("latin-1"),
        call.status,
        call.error,
        len(call.tries) + replays,
        replays,
        any(attempt.why == "hedge" for attempt in call.tries),
        call.fallback,
        call.bytes_in,
        call.bytes_out,
        _milliseconds(call.ended - arrived),
        _milliseconds((call.first_byte or call.ended) - arrived),
        call.stream,
        call.client,
        call.user_agent.decode("latin-1"),
        call.operation,
        model_answered=call.model_answered,
        response_id=call.response_id,
        input_tokens=usage.input,
        cached_tokens=usage.cached,
        cache_write_tokens=usage.cache_write,
        output_tokens=usage.output,
        reasoning_tokens=usage.reasoning,
        estimated=usage.estimated,
        cost=round(call.cost, 9) or ZERO,
        team=call.team,
        finish=call.finish,
        verdict=call.verdict,
        failure=call.failure,
        first_token_ms=_since(arrived, call.content),
        longest_gap_ms=_milliseconds(call.gap),
        conversation=call.conversation,
        provider_request_id=call.provider_request_id.decode("latin-1"),
        cache=call.cache,
        queue_ms=_milliseconds(call.queued),
        connect_ms=_milliseconds(call.connected),
        parent_id=(call.parent_id or b"").decode(),
        sampled=call.sampled,
        tries=tuple(_try(arrived, each) for each in call.tries),
        layers=call.layers,
        notes=tuple(
            Note(_milliseconds(when - arrived), what, text) for when, what, text in call.notes
        ),
    )


def _try(arrived: float, attempt: EndedTry) -> Try:
    return Try(
        endpoint=attempt.endpoint,
        why=attempt.why,
        began_ms=_since(arrived, attempt.began),
        after=attempt.after,
        sent_ms=_since(arrived, attempt.sent),
        head_ms=_since(arrived, attempt.head),
        content_ms=_since(arrived, attempt.content),
        ended_ms=_since(arrived, attempt.ended),
        status=attempt.status,
        error=attempt.error,
        verdict=attempt.verdict,
        failure=attempt.failure,
        span_id=attempt.span_id.decode(),
        reused=attempt.reused,
        replayed=attempt.replayed,
    )


def _since(arrived: float, when: float | None) -> float:
    return ZERO if when is None else _milliseconds(when - arrived)


def _milliseconds(seconds: float) -> float:
    """Rounded to the microsecond. `round` with digits is ten times as slow."""
    return round(seconds * 1e6) / 1e3 or ZERO
