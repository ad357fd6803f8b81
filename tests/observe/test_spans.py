"""From the record of a call to its spans, read by OpenTelemetry's own protobuf classes."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.llm.dialects import Parameters
from sidecar.observe.otlp import request
from sidecar.observe.record import CallRecord, Note, Try
from sidecar.observe.semconv import VERSIONS, Version
from sidecar.observe.spans import Traced, spans_of
from tests.observe.exported import Export, decoded

TRACE, PARENT, OWN, FIRST, SECOND = "a" * 32, "b" * 16, "c" * 16, "d" * 16, "e" * 16
MADE = "f" * 16
MS = 1_000_000
BEGAN = 1_700_000_000 * 1000 * MS
CLIENT, ERROR = 3, 2


def exported(
    record: CallRecord, parameters: Parameters | None = None, version: Version = "1.41"
) -> Export:
    names = VERSIONS[version]
    spans = spans_of(Traced(record, parameters), names, MADE.encode)
    return decoded(request({}, ("n", "1"), names.schema_url, spans))


def record(**changes: Any) -> CallRecord:
    usual: dict[str, Any] = {
        "time": 1_700_000_000.0,
        "request_id": "r-1",
        "trace_id": TRACE,
        "route": "chat",
        "upstream": "openai",
        "endpoint": "https://api.openai.com",
        "dialect": "openai",
        "model": "gpt-4o",
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "attempts": 1,
        "duration_ms": 250.5,
        "operation": "chat",
        "span_id": OWN,
        "sampled": True,
    }
    return CallRecord(**usual | changes)


def attempt(**changes: Any) -> Try:
    usual: dict[str, Any] = {
        "endpoint": "http://glm-0:8000",
        "why": "first",
        "began_ms": 1.0,
        "ended_ms": 200.0,
        "status": 200,
        "span_id": FIRST,
    }
    return Try(**usual | changes)


def test_a_chat() -> None:
    one = record(
        parent_id=PARENT,
        stream=True,
        model_answered="gpt-4o-2024-08-06",
        response_id="chatcmpl-1",
        input_tokens=12,
        cached_tokens=4,
        cache_write_tokens=3,
        output_tokens=0,
        reasoning_tokens=2,
        cost=0.25,
        estimated=True,
        finish="stop,length",
        verdict="complete",
        first_token_ms=125.0,
        longest_gap_ms=50.0,
        queue_ms=10.0,
        user_agent="OpenAI/Python",
        provider_request_id="req_1",
        conversation="s-1",
        team="search",
        fallback=1,
    )
    asked = Parameters(
        max_tokens=100, temperature=0.0, top_p=0.5, top_k=40, n=2, stream=True, reasoning="low",
        conversation="of-the-body", previous_response="resp_0", cache_key="k",
    )  # fmt: skip
    export = exported(one, asked)
    [span] = export.spans
    assert (span.name, span.kind, span.status.code) == ("chat gpt-4o", CLIENT, 0)
    assert (span.trace_id.hex(), span.span_id.hex()) == (TRACE, OWN)
    assert (span.parent_span_id.hex(), span.flags) == (PARENT, 0x301)
    assert span.start_time_unix_nano == BEGAN
    assert span.end_time_unix_nano == BEGAN + 250_500_000
    assert export.attributes == [{
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.conversation.id": "s-1",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.top_k": 40.0,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.request.previous_response.id": "resp_0",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.finish_reasons": ["stop", "length"],
        "gen_ai.response.time_to_first_chunk": 0.125,
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 0,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.cache_creation.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "server.address": "api.openai.com",
        "server.port": 443,
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "user_agent.original": "OpenAI/Python",
        "sidecar.request_id": "r-1",
        "sidecar.route": "chat",
        "sidecar.upstream": "openai",
        "sidecar.team": "search",
        "sidecar.attempts": 1,
        "sidecar.fallback": 1,
        "sidecar.queue": 0.01,
        "sidecar.longest_gap": 0.05,
        "sidecar.cost": 0.25,
        "sidecar.estimated": True,
        "sidecar.verdict": "complete",
        "sidecar.provider_request_id": "req_1",
    }]  # fmt: skip
    assert export.schema_urls == {"https://opentelemetry.io/schemas/1.41.0"}


def test_the_names_in_development() -> None:
    one = record(cache_write_tokens=3)
    export = exported(one, Parameters(top_k=40, n=1, conversation="of-the-body"), "latest")
    [values] = export.attributes
    assert values["gen_ai.usage.cache_write.input_tokens"] == 3
    assert values["gen_ai.request.top_k"] == 40
    assert isinstance(values["gen_ai.request.top_k"], int)
    assert values["gen_ai.conversation.id"] == "of-the-body"
    assert "gen_ai.request.choice.count" not in values
    assert export.schema_urls == {"https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"}
    stored = record(operation="stored_responses", model="", method="GET")
    assert exported(stored, version="latest").spans[0].name == "fetch_response"
    assert exported(stored).spans[0].name == "GET"


@pytest.mark.parametrize("operation", ["", "models", "files", "other", "count_tokens"])
def test_a_call_that_asks_no_model(operation: str) -> None:
    export = exported(record(operation=operation, model="", method="GET"))
    assert export.spans[0].name == "GET"
    assert not [key for key in export.attributes[0] if key.startswith("gen_ai")]
    assert export.attributes[0]["server.address"] == "api.openai.com"


def test_a_call_that_begins_here_has_no_parent() -> None:
    [span] = exported(record()).spans
    assert (span.parent_span_id, span.flags) == (b"", 0x101)


def test_a_call_without_a_route() -> None:
    one = CallRecord(
        0.0, "r", TRACE, method="GET", status=404, error="no_route", span_id=OWN, sampled=True
    )
    export = exported(one)
    assert export.spans[0].status.code == ERROR
    assert export.attributes == [
        {
            "error.type": "no_route",
            "http.request.method": "GET",
            "http.response.status_code": 404,
            "sidecar.request_id": "r",
        }
    ]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"error": "total_timeout", "status": 504, "failure": "server"}, "total_timeout"),
        ({"status": 429, "failure": "rate_limit"}, "rate_limit"),
        ({"status": 500}, "500"),
        ({"verdict": "truncated"}, "truncated"),
        ({"verdict": "empty"}, "empty"),
        ({"verdict": "complete"}, None),
        ({"error": "caller_left", "status": 0}, None),
        ({"verdict": "aborted", "error": "caller_left"}, None),
        ({"status": 399}, None),
    ],
)
def test_what_failed(changes: dict[str, Any], error: str | None) -> None:
    export = exported(record(**changes))
    assert export.attributes[0].get("error.type") == error
    assert export.spans[0].status.code == (0 if error is None else ERROR)
    left = changes.get("error") == "caller_left"
    assert (export.attributes[0].get("sidecar.verdict") == "aborted") == left


def test_attempts_are_below_the_call_and_linked_in_order() -> None:
    first = attempt(status=503, sent_ms=2.0, head_ms=199.0)
    second = attempt(
        endpoint="https://[::1]", why="retry", after="503", began_ms=210.0, ended_ms=0.0,
        sent_ms=211.0, head_ms=220.0, content_ms=230.0, span_id=SECOND, reused=True, replayed=True,
        verdict="complete",
    )  # fmt: skip
    export = exported(record(tries=(first, second), attempts=2))
    _, one, two = export.spans
    assert {span.trace_id.hex() for span in export.spans} == {TRACE}
    assert {one.parent_span_id.hex(), two.parent_span_id.hex()} == {OWN}
    assert (one.span_id.hex(), two.span_id.hex()) == (FIRST, SECOND)
    assert {(span.name, span.kind, span.flags) for span in (one, two)} == {("POST", CLIENT, 0x101)}
    assert (one.start_time_unix_nano, one.end_time_unix_nano) == (BEGAN + MS, BEGAN + 200 * MS)
    assert two.start_time_unix_nano == BEGAN + 210 * MS
    assert two.end_time_unix_nano == BEGAN + 250_500_000  # with the call
    assert [(e.name, e.time_unix_nano - BEGAN) for e in one.events] == [
        ("request sent", 2 * MS), ("reply arrived", 199 * MS),
    ]  # fmt: skip
    assert [e.name for e in two.events] == ["request sent", "reply arrived", "first content"]
    assert not one.links
    [link] = two.links
    assert (link.trace_id.hex(), link.span_id.hex()) == (TRACE, FIRST)
    assert (link.attributes[0].key, link.attributes[0].value.string_value) == (
        "sidecar.link", "retry",
    )  # fmt: skip
    assert (one.status.code, two.status.code) == (ERROR, 0)
    assert export.attributes[1:] == [
        {
            "server.address": "glm-0", "server.port": 8000, "http.request.method": "POST",
            "http.response.status_code": 503, "error.type": "503", "sidecar.attempt.why": "first",
        },
        {
            "server.address": "::1", "server.port": 443, "http.request.method": "POST",
            "http.response.status_code": 200, "http.request.resend_count": 1,
            "sidecar.attempt.why": "retry", "sidecar.attempt.after": "503",
            "sidecar.connection.reused": True, "sidecar.connection.replayed": True,
            "sidecar.verdict": "complete",
        },
    ]  # fmt: skip


def test_what_was_unusual_are_events() -> None:
    notes = (Note(1.5, "retry", "number 1 in 0.020 s, after 503"), Note(3.0, "gate", "opened"))
    export = exported(record(notes=notes, cache="miss"))
    [span] = export.spans
    assert export.attributes[0]["sidecar.cache"] == "miss"
    assert [
        (e.name, e.time_unix_nano - BEGAN, e.attributes[0].key, e.attributes[0].value.string_value)
        for e in span.events
    ] == [
        ("sidecar.retry", 1_500_000, "sidecar.note", "number 1 in 0.020 s, after 503"),
        ("sidecar.gate", 3 * MS, "sidecar.note", "opened"),
    ]


def test_an_attempt_that_was_slower_has_not_failed() -> None:
    slow = attempt(status=0, error="outrun")
    quick = attempt(why="hedge", after="slow", span_id=SECOND)
    export = exported(record(tries=(slow, quick), attempts=2, hedged=True))
    assert [span.status.code for span in export.spans] == [0, 0, 0]
    assert export.attributes[1]["sidecar.attempt.outrun"] is True
    assert export.spans[2].links[0].span_id.hex() == FIRST


def test_an_attempt_that_sent_nothing_has_an_id_too() -> None:
    dead = attempt(status=0, error="connect_failed", span_id="")
    again = attempt(why="retry", after="connect_failed", span_id=SECOND)
    export = exported(record(tries=(dead, again)))
    assert export.spans[1].span_id.hex() == MADE
    assert export.spans[2].links[0].span_id.hex() == MADE
    assert export.attributes[1]["error.type"] == "connect_failed"


def test_a_name_of_a_model_that_is_no_unicode() -> None:
    [span] = exported(record(model="\ud800")).spans
    assert span.name == "chat ?"
