"""What the machine is short of is counted each time, and said once in a while."""

import logging

import pytest

from sidecar.observe import shortage


def test_it_is_said_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    monkeypatch.setattr(shortage, "_said", {})
    monkeypatch.setattr(shortage, "counts", type(shortage.counts)())
    monkeypatch.setattr("time.monotonic", lambda: now)
    with caplog.at_level(logging.WARNING):
        for _ in range(1000):
            shortage.note("listener", "out of descriptors")
        shortage.note("endpoint", "out of ports")  # another matter
        now += 61
        shortage.note("listener", "out of descriptors")
    assert shortage.counts == {"listener": 1001, "endpoint": 1}
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "out of descriptors",
        "out of ports",
        "out of descriptors",
    ]
