"""Calls as they are kept, made from what would be told of them."""

from __future__ import annotations

from sidecar.llm.usage import Usage
from sidecar.observe.ended import EndedCall, EndedTry
from sidecar.observe.record import CallRecord, Try

ARRIVED = 1000.0
"""Monotonic seconds."""


def ended(record: CallRecord) -> EndedCall:
    """The call of which *record* is told."""
    usage = Usage(
        record.input_tokens,
        record.cached_tokens,
        record.cache_write_tokens,
        record.output_tokens,
        record.reasoning_tokens,
        record.estimated,
    )
    return EndedCall(
        at=record.time,
        arrived=ARRIVED,
        ended=_at(record.duration_ms),
        first_byte=_at(record.first_byte_ms),
        content=_at(record.first_token_ms) if record.first_token_ms else None,
        gap=record.longest_gap_ms / 1e3,
        queued=record.queue_ms / 1e3,
        connected=record.connect_ms / 1e3,
        request_id=record.request_id.encode("latin-1"),
        trace_id=record.trace_id.encode(),
        parent_id=record.parent_id.encode() or None,
        sampled=record.sampled,
        route=record.route,
        upstream=record.upstream,
        endpoint=record.endpoint,
        dialect=record.dialect,
        layers=record.layers,
        method=record.method.encode("latin-1"),
        path=record.path.encode("latin-1"),
        user_agent=record.user_agent.encode("latin-1"),
        client=record.client,
        conversation=record.conversation,
        operation=record.operation,
        model=record.model,
        model_answered=record.model_answered,
        stream=record.stream,
        status=record.status,
        error=record.error,
        fallback=record.fallback,
        bytes_in=record.bytes_in,
        bytes_out=record.bytes_out,
        cache=record.cache,
        team=record.team,
        provider_request_id=record.provider_request_id.encode("latin-1"),
        response_id=record.response_id,
        finish=record.finish,
        verdict=record.verdict,
        failure=record.failure,
        usage=None if usage == Usage() else usage,
        cost=record.cost,
        tries=[_try(each) for each in record.tries],
        notes=[(_at(note.at_ms), note.what, note.text) for note in record.notes],
    )


def _try(told: Try) -> EndedTry:
    return EndedTry(
        told.endpoint,
        told.why,
        told.after,
        _at(told.began_ms),
        _at(told.sent_ms) if told.sent_ms else None,
        _at(told.head_ms) if told.head_ms else None,
        _at(told.content_ms) if told.content_ms else None,
        _at(told.ended_ms) if told.ended_ms else None,
        told.status,
        told.error,
        told.verdict,
        told.failure,
        told.span_id.encode(),
        told.reused,
        told.replayed,
    )


def _at(milliseconds: float) -> float:
    return ARRIVED + milliseconds / 1e3
