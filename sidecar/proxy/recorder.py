"""Records finished calls: counts and access log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sidecar.llm.conversation import conversation_of
from sidecar.observe.record import CallRecord, Note, RecordSink, Try
from sidecar.observe.stats import RouteStats, Stats
from sidecar.observe.trace import SAMPLED
from sidecar.proxy.routing.router import LONGEST_SHOWN

if TYPE_CHECKING:
    from sidecar.llm.usage import Usage
    from sidecar.proxy.call import Call
    from sidecar.proxy.exchange.reading import Said
    from sidecar.proxy.record import AttemptRecord

_REPORTED = ("input", "output")
_ESTIMATED = ("estimated_input", "estimated_output")
NO_ROUTE = ("none", "none")
"""Labels of calls without a route."""


class Recorder:
    """Counts calls in *stats*, and passes each call's record to all `sinks`."""

    def __init__(self, stats: Stats) -> None:
        self.sinks: list[RecordSink] = []
        self._stats = stats

    def record(self, call: Call, now: float) -> None:
        """Count and log *call*, which ends *now* (monotonic seconds)."""
        route = call.route
        if route is not None:
            stats = route.stats
            stats.in_flight -= 1
        else:
            stats = self._stats.routes.setdefault(NO_ROUTE, RouteStats())
        stats.statuses[call.status] += 1
        arrived = call.arrived
        stats.duration.observe(now - arrived)
        if call.first_byte is not None:
            stats.first_byte.observe(call.first_byte - arrived)
        if call.error is not None:
            stats.errors[call.error.code] += 1
        stats.bytes_in += call.body.size
        stats.bytes_out += call.bytes_out
        said = None if call.attempt is None else call.attempt.said
        if said is not None:
            _count(call, said, stats, now)
        if self.sinks:
            record = self._record(call, now)
            if said is not None:
                _tell(record, call, said)
            for sink in self.sinks:
                sink.append(record)

    def _record(self, call: Call, now: float) -> CallRecord:
        route = call.route
        endpoint = None if call.attempt is None else call.attempt.endpoint
        replays = call.replays
        first_byte = call.first_byte or now
        return CallRecord(
            # Computed from the current clock: it may have been set meanwhile, and the monotonic
            # clock stops while the machine sleeps.
            time.time() - (now - call.arrived),
            call.request_id.decode("latin-1"),
            call.trace.trace_id.decode(),
            route.name if route else "",
            endpoint.upstream if endpoint else route.upstream.name if route else "",
            endpoint.name if endpoint else "",
            route.upstream.dialect if route else "",
            (call.model or "")[:LONGEST_SHOWN],
            call.head.method.decode("latin-1"),
            call.head.path.decode("latin-1"),
            call.status,
            call.error.code if call.error else "",
            len(call.attempts) + replays,
            replays,
            call.hedged,
            call.fallback,
            call.body.size,
            call.bytes_out,
            _milliseconds(now - call.arrived),
            _milliseconds(first_byte - call.arrived),
            call.stream,
            call.downstream.peer,
            call.head.fields.known.get(b"user-agent", b"").decode("latin-1"),
            call.operation,
            conversation=conversation_of(call.head.fields.known) or "",
            provider_request_id=_provider_id(call.attempt),
            cache=call.cache,
            queue_ms=_milliseconds(call.queued),
            connect_ms=_connect(call.attempt),
            parent_id=(call.trace.parent_id or b"").decode(),
            sampled=bool(call.trace.flags & SAMPLED),
            tries=_tries(call),
            layers=route.layers if route else (),
            notes=_notes(call, now),
        )


def _count(call: Call, said: Said, stats: RouteStats, now: float) -> None:
    """Count what the reply of *call* has said."""
    stats.verdicts[said.verdict] += 1
    usage, attempt = said.usage, call.attempt
    assert attempt is not None
    if usage is not None:
        model = said.model or call.model or ""
        label = stats.model_label(model)
        tokens = stats.tokens
        into, out = _ESTIMATED if usage.estimated else _REPORTED
        tokens[label, into] += usage.input
        tokens[label, out] += usage.output
        if usage.cached:
            tokens[label, "cached"] += usage.cached
        if usage.cache_write:
            tokens[label, "cache_write"] += usage.cache_write
        if usage.reasoning:
            tokens[label, "reasoning"] += usage.reasoning
        cost = _cost(call, model, usage)
        if cost:
            stats.cost[label] += cost
    if said.verdict == "complete" and attempt.content is not None:
        stats.first_token.observe(attempt.content - call.arrived)
        seconds = (attempt.ended or now) - attempt.content
        if usage is not None and usage.output > 1 and seconds > 0:
            stats.output_rate.observe(usage.output / seconds)


def _tell(record: CallRecord, call: Call, said: Said) -> None:
    """Put what the reply has said into *record*."""
    usage, attempt = said.usage, call.attempt
    assert attempt is not None
    if said.model and said.model != call.model:
        record.model_answered = said.model[:LONGEST_SHOWN]
    record.response_id = (said.response_id or "")[:LONGEST_SHOWN]
    record.finish = ",".join(said.finish_reasons)[:LONGEST_SHOWN]
    record.verdict = said.verdict
    record.failure = _failure(said)
    if usage is not None:
        record.input_tokens, record.output_tokens = usage.input, usage.output
        record.cached_tokens, record.cache_write_tokens = usage.cached, usage.cache_write
        record.reasoning_tokens = usage.reasoning
        record.estimated = usage.estimated
        cost = _cost(call, said.model or call.model or "", usage)
        if cost:
            record.cost = round(cost, 9)
    if attempt.content is not None:
        record.first_token_ms = _milliseconds(attempt.content - call.arrived)
        record.longest_gap_ms = _milliseconds(attempt.gap)


def _cost(call: Call, model: str, usage: Usage) -> float | None:
    return None if call.route is None else call.route.pricing.cost(model, usage)


def _tries(call: Call) -> tuple[Try, ...]:
    def since(when: float | None) -> float:
        return 0.0 if when is None else _milliseconds(when - call.arrived)

    return tuple(
        Try(
            endpoint=attempt.endpoint.name,
            why=attempt.why,
            began_ms=since(attempt.began),
            after=attempt.reason,
            sent_ms=since(attempt.sent),
            head_ms=since(attempt.head),
            content_ms=since(attempt.content),
            ended_ms=since(attempt.ended),
            status=attempt.status,
            error=attempt.error,
            verdict="" if attempt.said is None else attempt.said.verdict,
            failure=_failure(attempt.said),
            span_id=attempt.span_id.decode(),
            reused=attempt.reused,
            replayed=attempt.replayed,
        )
        for attempt in call.attempts
    )


def _notes(call: Call, now: float) -> tuple[Note, ...]:
    notes = call.notes or []
    if call.error is not None:
        notes = [*notes, (now, "error", call.error.message)]
    return tuple(
        Note(_milliseconds(when - call.arrived), what, text[:LONGEST_SHOWN])
        for when, what, text in notes
    )


def _connect(attempt: AttemptRecord | None) -> float:
    if attempt is None or attempt.sent is None:
        return 0.0
    return _milliseconds(attempt.sent - attempt.began)


def _failure(said: Said | None) -> str:
    return "" if said is None or said.failure is None else said.failure.kind


def _provider_id(attempt: AttemptRecord | None) -> str:
    """The id under which the provider knows the request of *attempt*."""
    if attempt is None or attempt.fields is None:
        return ""
    known = attempt.fields.known
    value = (
        known.get(b"request-id")
        or known.get(b"apim-request-id")
        or known.get(b"x-amzn-requestid")
        or known.get(b"x-request-id")
    )
    return "" if value is None else value[:LONGEST_SHOWN].decode("latin-1")


def _milliseconds(seconds: float) -> float:
    """Rounded to the microsecond. `round` with digits is ten times as slow."""
    return round(seconds * 1e6) / 1e3
