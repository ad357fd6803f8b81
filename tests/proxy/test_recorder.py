"""What is kept of a call that has ended."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest

from sidecar.http.message import RequestHead
from sidecar.observe.record import CallRecord
from sidecar.observe.stats import Stats
from sidecar.proxy.body.body import RequestBody
from sidecar.proxy.body.memory import BodyMemory
from sidecar.proxy.call import Call
from sidecar.proxy.detached import Nobody
from sidecar.proxy.recorder import Recorder
from sidecar.proxy.serve import identify


class Log:
    def __init__(self) -> None:
        self.records: list[CallRecord] = []

    def append(self, record: CallRecord) -> None:
        self.records.append(record)


def call() -> Call:
    nowhere = Nobody("127.0.0.1")
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
