"""What is kept of a call that has ended."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sidecar.config.model import Trust
from sidecar.errors import AttemptError, CallerLeft, CallError, Limited
from sidecar.http.fields import Fields
from sidecar.http.headers import REPLY_FIELDS, REQUEST_FIELDS
from sidecar.http.message import RequestHead
from sidecar.llm.dialects import Parameters
from sidecar.llm.failures import Failure
from sidecar.llm.spoken import Content
from sidecar.llm.usage import Usage
from sidecar.observe.conventions import Conventions
from sidecar.observe.record import CallRecord
from sidecar.observe.semconv import Version
from sidecar.observe.stats import EndpointStats, RouteStats, Stats
from sidecar.observe.trace import SAMPLED
from sidecar.proxy.body.body import RequestBody
from sidecar.proxy.body.memory import BodyMemory
from sidecar.proxy.call import Call
from sidecar.proxy.detached import Nobody
from sidecar.proxy.exchange.reading import Said
from sidecar.proxy.record import FIRST, AttemptRecord
from sidecar.proxy.recorder import Recorder
from sidecar.proxy.routing.router import NO_PRICES
from sidecar.proxy.serve import identify
from sidecar.upstream.endpoints.endpoint import Origin


class Log:
    def __init__(self) -> None:
        self.records: list[CallRecord] = []

    def append(self, record: CallRecord) -> None:
        self.records.append(record)


class Spans:
    def __init__(self) -> None:
        self.exported: list[tuple[CallRecord, Parameters | None]] = []

    def export(
        self, record: CallRecord, parameters: Parameters | None, content: Content | None = None
    ) -> None:
        assert content is None
        self.exported.append((record, parameters))


def call() -> Call:
    nowhere = Nobody("127.0.0.1", Trust())
    head = RequestHead()
    memory = BodyMemory(2**20, 1.0)
    made = Call(cast("Any", nowhere), head, RequestBody(cast("Any", nowhere), memory, b""))
    identify(made)
    return made


@pytest.mark.parametrize("set_by", [0.0, 7200.0, -3 * 86400.0])
def test_the_time_of_a_call_follows_the_clock(
    monkeypatch: pytest.MonkeyPatch, set_by: float
) -> None:
    recorder, log = Recorder(Stats(0.0)), Log()
    recorder.sinks = [log]
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + set_by)
    one = call()
    one.arrived -= 5.0
    recorder.record(one, time.monotonic())
    assert log.records[0].time == pytest.approx(clock() + set_by - 5.0, abs=1.0)


def test_a_call_is_told_with_its_conversation_and_its_providers_id() -> None:
    recorder, log = Recorder(Stats(0.0)), Log()
    recorder.sinks = [log]
    one = call()
    one.head.fields = Fields(b"\r\nX-Claude-Code-Session-Id: s-1", REQUEST_FIELDS)
    attempt = AttemptRecord(cast("Any", SimpleNamespace(name="e", upstream="u")), FIRST, "", 0.0)
    attempt.fields = Fields(b"\r\nrequest-id: req_1\r\nx-request-id: other", REPLY_FIELDS)
    one.attempts.append(attempt)
    one.attempt = attempt
    one.queued = 0.25
    recorder.record(one, time.monotonic())
    record = log.records[0]
    assert (record.conversation, record.provider_request_id) == ("s-1", "req_1")
    assert record.queue_ms == 250.0
    assert [each.endpoint for each in record.tries] == ["e"]


# -- spans --

BODY = b'{"model": "m", "temperature": 0.5}'
ASKED = Parameters(temperature=0.5)


def asking(body: bytes, **changes: Any) -> Call:
    """A sampled call with *body*. *changes*: of its attributes, or of its body's if those have."""
    one = call()
    one.trace.flags |= SAMPLED
    reader = cast("Any", one.downstream)
    one.body = RequestBody(reader, BodyMemory(2**30, 1.0), body)
    one.operation = "chat"
    upstream = SimpleNamespace(name="u", dialect="openai")
    route = SimpleNamespace(name="r", upstream=upstream, stats=RouteStats(), layers=())
    one.route = cast("Any", route)
    for name, value in changes.items():
        setattr(one.body if hasattr(one.body, name) else one, name, value)
    return one


@pytest.mark.parametrize(
    ("one", "parameters"),
    [
        (lambda: asking(BODY), ASKED),
        (lambda: asking(b"packed", unpacked=BODY), ASKED),
        (lambda: asking(b"no JSON"), Parameters()),
        (lambda: asking(b""), Parameters()),
        (lambda: asking(BODY, streamed=True), None),
        (lambda: asking(BODY, complete=False), None),
        (lambda: asking(BODY, operation="files"), None),
        (lambda: asking(BODY + b" " * 2**20), None),
        (lambda: asking(b"packed", unpacked=BODY + b" " * 2**20), None),
    ],
)
def test_a_sampled_call_is_exported_with_what_it_asked(
    one: Callable[[], Call], parameters: Parameters | None
) -> None:
    recorder, log, spans = Recorder(Stats(0.0)), Log(), Spans()
    recorder.sinks, recorder.spans = [log], spans
    recorder.record(one(), time.monotonic())
    [(record, asked)] = spans.exported
    assert asked == parameters
    assert log.records == [record]
    assert len(record.span_id) == 16
    assert record.span_id != record.parent_id


def test_a_body_with_a_coding_that_nobody_undid_is_not_read() -> None:
    recorder, spans = Recorder(Stats(0.0)), Spans()
    recorder.spans = spans
    one = asking(BODY)
    one.head.fields = Fields(b"\r\nContent-Encoding: br", REQUEST_FIELDS)
    recorder.record(one, time.monotonic())
    assert spans.exported[0][1] is None


def test_a_call_that_is_not_sampled_is_not_exported() -> None:
    recorder, log, spans = Recorder(Stats(0.0)), Log(), Spans()
    recorder.sinks, recorder.spans = [log], spans
    recorder.record(call(), time.monotonic())
    assert not spans.exported
    assert log.records[0].span_id == ""


# -- what service level objectives are made of --


class Measured:
    """Records calls of one route for one model, at one endpoint."""

    def __init__(self, version: Version | None = None) -> None:
        self.stats = Stats(0.0)
        self.stats.conventions = None if version is None else Conventions(version)
        self.route, self.endpoint = RouteStats(), EndpointStats()
        self.recorder = Recorder(self.stats)

    def record(
        self,
        said: Said | None,
        *,
        status: int = 200,
        error: CallError | None = None,
        model: str | None = "m",
        content: float | None = 0.5,
    ) -> None:
        """Times count from the call's head: head after 0.25 s, end after 2.5 s."""
        one = call()
        one.arrived = 100.0
        one.first_byte, one.status, one.error, one.model = 100.25, status, error, model
        one.operation = "chat"
        one.route = cast(
            "Any",
            SimpleNamespace(
                stats=self.route, pricing=NO_PRICES, upstream=SimpleNamespace(dialect="openai")
            ),
        )
        origin = Origin.of("https://api.openai.com")
        at = SimpleNamespace(name="e", upstream="u", stats=self.endpoint, origin=origin)
        one.attempt = attempt = AttemptRecord(cast("Any", at), FIRST, "", 100.125)
        attempt.head, attempt.ended, attempt.status, attempt.said = 100.25, 102.5, status, said
        attempt.content = None if content is None else 100.0 + content
        attempt.error = "" if error is None else error.code
        one.attempts.append(attempt)
        self.recorder.record(one, 102.5)


WHOLE = Said("complete", Usage(100, 40, 0, 21, 5), "m-2", "r", ("stop",), None, 11)
FAST_FAILURES: list[tuple[Said | None, int, CallError | None]] = [
    (Said("error", failure=Failure("rate_limit", 429)), 429, None),
    (Said("error", failure=Failure("server", 500)), 500, None),
    (Said("error", failure=Failure("overload", 529)), 200, None),
    (Said("truncated"), 200, AttemptError("it broke")),
    (Said("aborted"), 200, CallerLeft("gone")),
    (None, 429, Limited("too many")),
    (None, 502, AttemptError("no connection")),
]


@pytest.mark.parametrize(("said", "status", "error"), FAST_FAILURES)
def test_a_failure_is_no_fast_answer(
    said: Said | None, status: int, error: CallError | None
) -> None:
    measured = Measured()
    measured.record(said, status=status, error=error)
    route, endpoint = measured.route, measured.endpoint
    [model] = route.models.asked.values()
    for timed in (
        route.first_byte, route.durations["ok"], model.first_token, model.output_chunk,
        model.output_rate, endpoint.first, endpoint.duration,
    ):  # fmt: skip
        assert sum(timed.counts) == 0
    [outcome] = +Counter(model.outcomes)
    assert outcome != "ok"
    assert route.durations[outcome].total == 2.5


def test_a_stream_that_ended_well_is_timed() -> None:
    measured = Measured()
    measured.record(WHOLE)
    route, endpoint = measured.route, measured.endpoint
    model = route.models.asked["m"]
    assert model.outcomes == {"ok": 1, "failed": 0}
    assert (route.first_byte.total, route.durations["ok"].total) == (0.25, 2.5)
    assert model.first_token.total == 0.5
    # Eleven pieces in two seconds: ten times 200 ms.
    assert sum(model.output_chunk.counts) == 10
    assert model.output_chunk.total == pytest.approx(2.0)
    assert model.output_rate.total == pytest.approx(21 / 2.0)
    assert (endpoint.first.total, endpoint.duration.total) == (0.375, 2.375)
    spent = route.models.spent["m-2", ""]
    assert (spent.input, spent.cached, spent.output, spent.reasoning) == (100, 40, 21, 5)


def test_a_reply_in_one_piece_has_a_head_and_no_first_token() -> None:
    measured = Measured()
    measured.record(WHOLE._replace(chunks=0), content=None)
    assert sum(measured.route.models.asked["m"].first_token.counts) == 0
    assert measured.endpoint.first.total == 0.125


def test_invented_models_are_counted_together_until_they_answer() -> None:
    measured = Measured()
    for number in range(1000):
        measured.record(None, status=404, model=f"junk-{number}")
    measured.record(WHOLE)
    outcomes = {name: +Counter(of.outcomes) for name, of in measured.route.models.asked.items()}
    assert outcomes == {"other": {"caller_error": 1000}, "m": {"ok": 1}}


def test_calls_that_ask_no_model_are_of_none() -> None:
    measured = Measured()
    measured.record(None, model=None)
    assert not measured.route.models.asked


# -- the conventions' names --


def test_operations_are_counted_under_their_attributes() -> None:
    measured = Measured("1.41")
    measured.record(WHOLE)
    measured.record(WHOLE)
    counted = measured.stats.conventions
    assert counted is not None
    [(attributes, operations)] = counted.series.items()
    assert attributes == ("chat", "openai", "m", "m-2", "api.openai.com", "443")
    assert operations.durations[""].total == 5.0
    assert operations.first_chunk.total == 1.0
    assert sum(operations.chunk.counts) == 20
    assert operations.tokens["input"].total == 200
    assert operations.usage == {
        "input": 200, "output": 42, "cached": 80, "cache_write": 0, "reasoning": 10,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "status", "error", "kind"),
    [
        (Said("error", failure=Failure("rate_limit", 429)), 429, None, "rate_limit"),
        (Said("error", failure=Failure("overload", 529)), 200, None, "overload"),
        (Said("truncated"), 200, AttemptError("x", code="upstream_reset"), "upstream_reset"),
        (Said("empty"), 200, None, "empty"),
        (None, 502, None, "502"),
    ],
)
def test_a_failure_has_its_type_and_no_first_chunk(
    said: Said | None, status: int, error: CallError | None, kind: str
) -> None:
    measured = Measured("latest")
    measured.record(said, status=status, error=error)
    counted = measured.stats.conventions
    assert counted is not None
    [operations] = counted.series.values()
    assert [*operations.durations] == [kind]
    assert sum(operations.first_chunk.counts) == 0


def test_invented_models_make_no_series_there_either() -> None:
    measured = Measured("1.41")
    for number in range(3000):
        measured.record(None, status=404, model=f"junk-{number}")
        measured.record(WHOLE._replace(model=f"m-{number}"), model=f"m-{number}")
    assert measured.stats.conventions is not None
    assert len(measured.stats.conventions.series) < 300


def test_notes_are_few_and_short_whatever_is_decided() -> None:
    recorder, log = Recorder(Stats(0.0)), Log()
    recorder.sinks = [log]
    one = call()
    for number in range(1000):
        one.note("retry", f"{number} " + "x" * 10_000)
    one.error = CallError("y" * 10_000)
    recorder.record(one, time.monotonic())
    notes = log.records[0].notes
    assert [note.what for note in notes] == ["retry"] * 32 + ["error"]
    assert max(len(note.text) for note in notes) == 256
