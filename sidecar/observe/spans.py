"""Makes spans of the record of a call: one of the call, and one of each of its attempts below it.

The call's span follows OpenTelemetry's conventions for generative AI where a model was asked, and
those for HTTP clients otherwise; the attempts' spans those for HTTP clients. What no convention
names begins with `sidecar.`.
"""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

from sidecar.llm.conversation import conversation_of
from sidecar.llm.dialects import READABLE, Dialect, Parameters
from sidecar.llm.spoken import Content
from sidecar.observe import semconv
from sidecar.observe.otlp import Value, attributes, field, fixed32, fixed64
from sidecar.observe.record import CallRecord, Try
from sidecar.observe.semconv import Names, operation_name, provider_name

_CLIENT: Final = b"\x30\x03"
_FAILED: Final = b"\x7a\x02\x18\x02"
"""A status of ERROR, without a message: `error.type` says what it was."""
_LOCAL: Final = b"\x85\x01" + fixed32(0x101)
"""Sampled; its parent is a span of ours."""
_REMOTE: Final = b"\x85\x01" + fixed32(0x301)
"""Sampled; its parent is another process's."""
_LEFT: Final = ("caller_left", "outrun")
"""Ends that are no failures: of a call, and of an attempt that was slower than another."""
_BROKEN: Final = ("error", "truncated", "stalled", "empty")

Values = dict[str, Value]


class Traced(NamedTuple):
    """A call that is to be exported."""

    record: CallRecord
    """With the id of its span."""
    parameters: Parameters | None = None
    """What its body asked for, if that could be read."""
    content: Content | None = None
    """What was said, if spans are to tell it."""


def spans_of(traced: Traced, names: Names, new_id: Callable[[], bytes]) -> Iterator[bytes]:
    """Yield the spans of a call. *new_id* makes span ids (hex) for attempts that sent nothing."""
    record = traced.record
    yield _call(traced, names)
    before = b""
    for number, each in enumerate(record.tries):
        span_id = unhexlify(each.span_id or new_id())
        yield _attempt(record, each, number, span_id, before)
        before = span_id


def _call(traced: Traced, names: Names) -> bytes:
    record = traced.record
    asks = record.operation in READABLE or (
        record.operation == "stored_responses" and names.fetches is not None
    )
    values = _asked(traced, names) | _answered(record, names) if asks else {}
    name = record.method
    if asks:
        name = f"{values[semconv.OPERATION]} {record.model}".rstrip()
    if traced.content is not None:
        values |= _given(
            (semconv.SYSTEM_INSTRUCTIONS, traced.content.system),
            (semconv.INPUT_MESSAGES, traced.content.input),
            (semconv.OUTPUT_MESSAGES, traced.content.output),
        )
    failure = _failure(record)
    if failure:
        values[semconv.ERROR_TYPE] = failure
    values |= _server(record.endpoint) | _own(record)
    parent = unhexlify(record.parent_id)
    flags = _REMOTE if parent else _LOCAL
    ends = (0.0, record.duration_ms)
    span = _span(record, unhexlify(record.span_id), parent, name, ends, values, failure)
    for note in record.notes:
        span += _event(record, note.at_ms, f"sidecar.{note.what}", {"sidecar.note": note.text})
    return span + flags


def _attempt(record: CallRecord, each: Try, number: int, span_id: bytes, before: bytes) -> bytes:
    values = _server(each.endpoint)
    values["http.request.method"] = record.method
    if each.status:
        values["http.response.status_code"] = each.status
    if number:
        values["http.request.resend_count"] = number
    failure = "" if each.error in _LEFT else each.error or _status_failure(each.status)
    failure = failure or (each.verdict if each.verdict in _BROKEN else "")
    if failure:
        values[semconv.ERROR_TYPE] = failure
    values["sidecar.attempt.why"] = each.why
    values |= _given(
        ("sidecar.attempt.after", each.after),
        ("sidecar.attempt.outrun", each.error == "outrun"),
        ("sidecar.failure", each.failure),
        ("sidecar.verdict", each.verdict),
        ("sidecar.connection.reused", each.reused),
        ("sidecar.connection.replayed", each.replayed),
    )
    ends = (each.began_ms, max(each.ended_ms or record.duration_ms, each.began_ms))
    parent = unhexlify(record.span_id)
    span = _span(record, span_id, parent, record.method, ends, values, failure)
    for event, when in (
        ("request sent", each.sent_ms),
        ("reply arrived", each.head_ms),
        ("first content", each.content_ms),
    ):
        if when:
            span += _event(record, when, event, {})
    if before:
        link = field(b"\x0a", unhexlify(record.trace_id)) + field(b"\x12", before)
        span += field(b"\x6a", link + attributes({"sidecar.link": each.why}, b"\x22"))
    return span + _LOCAL


def _span(
    record: CallRecord,
    span_id: bytes,
    parent: bytes,
    name: str,
    ends: tuple[float, float],
    values: Values,
    failure: str,
) -> bytes:
    began, ended = ends
    return b"".join((
        field(b"\x0a", unhexlify(record.trace_id)),
        field(b"\x12", span_id),
        field(b"\x22", parent) if parent else b"",
        field(b"\x2a", name.encode("utf-8", "replace")),
        _CLIENT,
        b"\x39", _moment(record, began),
        b"\x41", _moment(record, ended),
        attributes(values, b"\x4a"),
        _FAILED if failure else b"",
    ))  # fmt: skip


def _event(record: CallRecord, milliseconds: float, name: str, values: Values) -> bytes:
    named = field(b"\x12", name.encode()) + attributes(values, b"\x1a")
    return field(b"\x5a", b"\x09" + _moment(record, milliseconds) + named)


def _moment(record: CallRecord, milliseconds: float) -> bytes:
    return fixed64(max(0, int(record.time * 1e9)) + int(milliseconds * 1e6))


def _asked(traced: Traced, names: Names) -> Values:
    record, asked = traced.record, traced.parameters
    operation = operation_name(record.operation)
    if record.operation == "stored_responses":
        operation = names.fetches or operation
    values: Values = {semconv.OPERATION: operation}
    if record.dialect:
        host = _place(record.endpoint)[0]
        values[semconv.PROVIDER] = provider_name(cast("Dialect", record.dialect), host)
    conversation = record.conversation or conversation_of({}, asked)
    values |= _given(
        (semconv.REQUEST_MODEL, record.model),
        (semconv.REQUEST_STREAM, record.stream),
        (semconv.CONVERSATION, conversation),
    )
    if asked is None:
        return values
    top_k = asked.top_k
    for key, value in (
        (semconv.REQUEST_MAX_TOKENS, asked.max_tokens),
        (semconv.REQUEST_TEMPERATURE, asked.temperature),
        (semconv.REQUEST_TOP_P, asked.top_p),
        (semconv.REQUEST_TOP_K, float(top_k) if top_k and names.top_k_is_double else top_k),
        (semconv.REQUEST_CHOICES, None if asked.n == 1 else asked.n),
        (semconv.REQUEST_REASONING, asked.reasoning),
        (semconv.REQUEST_PREVIOUS, asked.previous_response),
    ):
        if value is not None:
            values[key] = value
    return values


def _answered(record: CallRecord, names: Names) -> Values:
    values = _given(
        (semconv.RESPONSE_ID, record.response_id),
        (semconv.RESPONSE_MODEL, record.model_answered or (record.response_id and record.model)),
        (semconv.RESPONSE_FIRST_CHUNK, record.stream and record.first_token_ms / 1e3),
        (semconv.USAGE_CACHE_READ, record.cached_tokens),
        (names.cache_write, record.cache_write_tokens),
        (semconv.USAGE_REASONING, record.reasoning_tokens),
    )
    if record.finish:
        values[semconv.RESPONSE_FINISH_REASONS] = tuple(record.finish.split(","))
    if record.input_tokens or record.output_tokens:
        values[semconv.USAGE_INPUT] = record.input_tokens
        values[semconv.USAGE_OUTPUT] = record.output_tokens
    return values


def _own(record: CallRecord) -> Values:
    values: Values = {"http.request.method": record.method, "sidecar.request_id": record.request_id}
    return values | _given(
        ("http.response.status_code", record.status),
        ("user_agent.original", record.user_agent),
        ("sidecar.route", record.route),
        ("sidecar.upstream", record.upstream),
        ("sidecar.team", record.team),
        ("sidecar.attempts", record.attempts),
        ("sidecar.fallback", record.fallback),
        ("sidecar.queue", record.queue_ms / 1e3),
        ("sidecar.longest_gap", record.longest_gap_ms / 1e3),
        ("sidecar.cost", record.cost),
        ("sidecar.estimated", record.estimated),
        ("sidecar.cache", record.cache),
        ("sidecar.failure", record.failure),
        ("sidecar.verdict", record.verdict or ("aborted" if record.error in _LEFT else "")),
        ("sidecar.provider_request_id", record.provider_request_id),
    )


def _failure(record: CallRecord) -> str:
    """What made the call fail, in a few words; empty if nothing did."""
    if record.error:
        return "" if record.error in _LEFT else record.error
    broken = record.verdict if record.verdict in _BROKEN else ""
    return record.failure or broken or _status_failure(record.status)


def _status_failure(status: int) -> str:
    return str(status) if status >= 400 else ""


def _server(endpoint: str) -> Values:
    host, port = _place(endpoint)
    return {semconv.SERVER_ADDRESS: host, semconv.SERVER_PORT: port} if host else {}


@lru_cache(1024)
def _place(endpoint: str) -> tuple[str, int]:
    """Return host and port of an endpoint's URL."""
    parts = urlsplit(endpoint)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        port = 0
    return parts.hostname or "", port


def _given(*values: tuple[str, Value | None]) -> Values:
    """Leave out what is empty, zero or false."""
    return {key: value for key, value in values if value}
