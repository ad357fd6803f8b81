"""What is kept of a call that has ended."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sidecar.config.model import Trust
from sidecar.http.fields import Fields
from sidecar.http.headers import REPLY_FIELDS, REQUEST_FIELDS
from sidecar.http.message import RequestHead
from sidecar.observe.record import CallRecord
from sidecar.observe.stats import Stats
from sidecar.proxy.body.body import RequestBody
from sidecar.proxy.body.memory import BodyMemory
from sidecar.proxy.call import Call
from sidecar.proxy.detached import Nobody
from sidecar.proxy.record import FIRST, AttemptRecord
from sidecar.proxy.recorder import Recorder
from sidecar.proxy.serve import identify


class Log:
    def __init__(self) -> None:
        self.records: list[CallRecord] = []

    def append(self, record: CallRecord) -> None:
        self.records.append(record)


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
