"""Records finished calls: counts and access log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sidecar.llm.conversation import conversation_of
from sidecar.observe.outcome import outcome_of
from sidecar.observe.record import ZERO, CallRecord, Note, RecordSink, SpanSink, Try
from sidecar.observe.stats import RouteStats, Stats
from sidecar.observe.trace import NONE, SAMPLED
from sidecar.proxy import conventions
from sidecar.proxy.content import content_of
from sidecar.proxy.parameters import parameters_of
from sidecar.proxy.routing.router import LONGEST_SHOWN

if TYPE_CHECKING:
    from sidecar.llm.usage import Usage
    from sidecar.observe.outcome import Outcome
    from sidecar.proxy.call import Call
    from sidecar.proxy.exchange.reading import Said
    from sidecar.proxy.record import AttemptRecord

NO_ROUTE = ("none", "none")
"""Labels of calls without a route."""


class Recorder:
    """Counts calls in *stats*, and passes each call's record to all `sinks`.

    Those whose trace is sampled go to `spans` too.
    """

    def __init__(self, stats: Stats) -> None:
        self.sinks: list[RecordSink] = []
        self.spans: SpanSink | None = None
        self.reject = NONE
        """The threshold of traces that begin here, see `sidecar.observe.trace`."""
        self.content = 0
        """Characters of what is said that spans tell of prompt and answer each; 0: none."""
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
        code = ""
        if call.error is not None:
            code = call.error.code
            stats.errors[code] += 1
        stats.bytes_in += call.body.size
        stats.bytes_out += call.bytes_out
        said = None if call.attempt is None else call.attempt.said
        outcome: Outcome = "ok"
        if code or said is None or said.verdict != "complete":  # most are complete
            verdict = "" if said is None else said.verdict
            outcome = outcome_of(call.status, code, verdict, _failure(said))
        arrived = call.arrived
        stats.durations[outcome].observe(now - arrived)
        if outcome == "ok" and call.first_byte is not None:
            stats.first_byte.observe(call.first_byte - arrived)
        team = _team(call)
        cost = 0.0 if said is None else _count(call, said, stats, team)
        self._measure(call, said, stats, outcome, now)
        spans = self.spans if call.trace.flags & SAMPLED else None
        if self.sinks or spans is not None:
            record = self._record(call, now)
            record.team = team
            if said is not None:
                _tell(record, call, said, cost)
            if spans is not None:
                record.span_id = call.trace.child().decode()
                content = content_of(call, self.content, _finish(call, record))
                spans.export(record, parameters_of(call), content)
            for sink in self.sinks:
                sink.append(record)

    def _measure(
        self, call: Call, said: Said | None, stats: RouteStats, outcome: Outcome, now: float
    ) -> None:
        if said is not None or call.model is not None:
            _count_model(call, said, stats, outcome)
        for attempt in call.attempts:
            _time(attempt)
        if self._stats.conventions is not None:
            conventions.count(self._stats.conventions, call, said, outcome, now)

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


def _count(call: Call, said: Said, stats: RouteStats, team: str) -> float:
    """Count what the reply of *call* has said. Return what it cost, 0 where that is not known."""
    stats.verdicts[said.verdict] += 1
    if said.failure is not None:
        stats.failures[said.failure.kind] += 1
    usage = said.usage
    if usage is None:
        return 0.0
    model = said.model or call.model or ""
    spent = stats.models.spent_by(model, team)
    if usage.estimated:
        spent.estimated_input += usage.input
        spent.estimated_output += usage.output
    else:
        spent.input += usage.input
        spent.cached += usage.cached
        spent.cache_write += usage.cache_write
        spent.output += usage.output
        spent.reasoning += usage.reasoning
    cost = _cost(call, model, usage) or 0.0
    spent.cost += cost
    if usage.cached and call.route is not None:
        spent.saved += call.route.pricing.saved(model, usage)
    return cost


def _count_model(call: Call, said: Said | None, stats: RouteStats, outcome: Outcome) -> None:
    """Count *call* for the model that it asked for. Only whole answers are timed."""
    asked = call.model or (said and said.model) or ""
    model = stats.models.asked_for(asked, answered=outcome == "ok")
    model.outcomes[outcome] += 1
    attempt = call.attempt
    if outcome != "ok" or said is None or attempt is None or attempt.content is None:
        return
    # A call that joined another's attempt may have come after its first content.
    model.first_token.observe(max(0.0, attempt.content - call.arrived))
    seconds = (attempt.ended or 0.0) - attempt.content
    if seconds <= 0:
        return
    if said.chunks > 1:
        model.output_chunk.observe_each(seconds / (said.chunks - 1), said.chunks - 1)
    usage = said.usage
    if usage is not None and usage.output > 1 and not usage.estimated:
        model.output_rate.observe(usage.output / seconds)


def _time(attempt: AttemptRecord) -> None:
    """Count how fast the endpoint of *attempt* was. A failure says nothing of that."""
    said, ended = attempt.said, attempt.ended
    if attempt.error or ended is None or not 200 <= attempt.status < 400:
        return
    if said is not None and said.verdict != "complete":
        return
    stats = attempt.endpoint.stats
    first = attempt.content or attempt.head
    if first is not None:
        stats.first.observe(first - attempt.began)
    stats.duration.observe(ended - attempt.began)


def _team(call: Call) -> str:
    """The team that *call* is for, if its listener believes its callers; else its caller's name."""
    name = call.downstream.trust.team
    if name is None:
        return call.caller
    value = call.head.fields.get(name.lower().encode(), b"").decode("latin-1")
    return value[:LONGEST_SHOWN]


def _finish(call: Call, record: CallRecord) -> str:
    """Why the answer ended. Of one that no endpoint gave to this call (kept, shared) it is unknown.

    The conventions have no word for that.
    """
    whole = call.error is None and record.verdict in ("", "complete")
    return record.finish or ("stop" if whole else "error")


def _tell(record: CallRecord, call: Call, said: Said, cost: float) -> None:
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
        if cost:
            record.cost = round(cost, 9)
    if attempt.content is not None:
        record.first_token_ms = _milliseconds(attempt.content - call.arrived)
        record.longest_gap_ms = _milliseconds(attempt.gap)


def _cost(call: Call, model: str, usage: Usage) -> float | None:
    return None if call.route is None else call.route.pricing.cost(model, usage)


def _tries(call: Call) -> tuple[Try, ...]:
    arrived = call.arrived

    def since(when: float | None) -> float:
        # As `_milliseconds`, without another call.
        return ZERO if when is None else round((when - arrived) * 1e6) / 1e3 or ZERO

    return tuple(
        [
            Try(
                attempt.endpoint.name,
                attempt.why,
                since(attempt.began),
                attempt.reason,
                since(attempt.sent),
                since(attempt.head),
                since(attempt.content),
                since(attempt.ended),
                attempt.status,
                attempt.error,
                "" if attempt.said is None else attempt.said.verdict,
                _failure(attempt.said),
                attempt.span_id.decode(),
                attempt.reused,
                attempt.replayed,
            )
            for attempt in call.attempts
        ]
    )


def _notes(call: Call, now: float) -> tuple[Note, ...]:
    notes = call.notes or []
    if call.error is not None:
        notes = [*notes, (now, "error", call.error.message)]
    elif not notes:
        return ()  # as most
    return tuple(
        Note(_milliseconds(when - call.arrived), what, text[:LONGEST_SHOWN])
        for when, what, text in notes
    )


def _connect(attempt: AttemptRecord | None) -> float:
    if attempt is None or attempt.sent is None:
        return ZERO
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
    return round(seconds * 1e6) / 1e3 or ZERO
