"""What a reply takes while nobody takes it yet."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar.http.fields import Fields
from sidecar.http.headers import REPLY_FIELDS
from sidecar.http.message import ResponseHead
from sidecar.proxy.exchange.commit import HELD
from sidecar.proxy.exchange.exchange import Exchange


class Connection:
    """Counts how often reading is paused."""

    def __init__(self) -> None:
        self.transport = self
        self.pauses = 0

    def pause_reading(self) -> None:
        self.pauses += 1

    def wake_at(self, _: float) -> None:
        pass


def answered(length: int) -> tuple[Exchange, Connection]:
    """An exchange that has the head of a JSON reply of *length* bytes, all of which is needed."""
    call = SimpleNamespace(body=SimpleNamespace(complete=True), deadline=None)
    place = SimpleNamespace(endpoint=None, answered=lambda *_: None)
    connection = Connection()
    timers = SimpleNamespace(idle=60.0)
    request = SimpleNamespace(reading=None, stream=False)
    given: list[Any] = [call, request, place, connection, timers, SimpleNamespace()]
    exchange = Exchange(*given)
    head = ResponseHead()
    head.status, head.body = 200, length
    head.fields = Fields(b"\r\nContent-Type: application/json", REPLY_FIELDS)
    exchange.on_response(head)
    exchange.on_read()
    return exchange, connection


@pytest.mark.parametrize("size", [2, 3, 8, 64, 5000])
def test_a_held_reply_costs_what_it_holds(size: int) -> None:
    exchange, connection = answered(HELD)
    tracemalloc.start()
    try:
        for _ in range(HELD // size):
            exchange.on_body(bytes(bytearray(size)))  # a new object each time, as a slice is one
            exchange.on_read()
        cost, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert cost < 1.3 * HELD
    assert connection.pauses == 0


def test_no_more_is_read_than_may_wait() -> None:
    exchange, connection = answered(2 * HELD)
    for _ in range(3):
        assert connection.pauses == 0
        exchange.on_body(bytes(HELD // 2))
        exchange.on_read()
    assert connection.pauses == 1
