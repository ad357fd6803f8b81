"""The memory for kept replies."""

from __future__ import annotations

import tracemalloc

from sidecar.config.model import Store
from sidecar.proxy.layers.keeps import Memory
from sidecar.proxy.stored import StoredReply


def a_reply(number: int, status: int = 200, route: str = "r", model: str = "m") -> StoredReply:
    pieces = [b"data: %d %d\n\n" % (number, each) for each in range(number % 5)]
    lines = b"\r\nContent-Type: text/event-stream\r\nX-Number: %d" % number
    times = list(range(300, 300 + len(pieces)))
    return StoredReply(status, b"OK", lines, True, pieces, times, 1.0 + number, 300.0, route, model)


def test_a_hundred_thousand_replies_stay_within_the_bound() -> None:
    memory = filled_with(100_000, 16 * 2**20)
    assert memory.size <= 16 * 2**20
    assert memory.entries + memory.evicted == 100_000
    assert memory.entries > 5_000


def test_ten_thousand_dead_keys_are_remembered_by_default() -> None:
    memory = Memory(int(Store().memory))
    for number in range(10_000):
        memory.put(number.to_bytes(20), a_reply(number, 404))
    assert memory.entries == 10_000


def test_what_is_counted_is_what_is_taken() -> None:
    tracemalloc.start()
    try:
        memory = filled_with(3_000, 16 * 2**20)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert not memory.evicted
    assert 0.7 * memory.size < taken < memory.size


def filled_with(count: int, most: int) -> Memory:
    memory = Memory(most)
    for number in range(count):
        status = 404 if number % 10 == 0 else 200
        memory.put(number.to_bytes(20), a_reply(number, status))
    return memory


def test_errors_push_no_answers_out() -> None:
    memory = Memory(100_000)
    memory.put(b"answer", a_reply(1))
    for number in range(1000):
        memory.put(number.to_bytes(20), a_reply(number, 404))
    assert memory.get(b"answer") is not None
    assert memory.size <= 100_000


def test_an_answer_takes_the_place_of_an_error() -> None:
    memory = Memory(100_000)
    memory.put(b"k", a_reply(1, 404))
    memory.put(b"k", a_reply(2))
    found = memory.get(b"k")
    assert found is not None
    assert found.status == 200
    assert memory.entries == 1
    memory.put(b"k", a_reply(1, 404))
    found = memory.get(b"k")
    assert found is not None
    assert found.status == 404


def test_a_purge_by_route_and_model() -> None:
    def filled() -> Memory:
        memory = Memory(100_000)
        for key, (route, model) in enumerate([("a", "m"), ("a", "n"), ("b", "m")]):
            memory.put(bytes([key]), a_reply(key, route=route, model=model))
        return memory

    assert filled().purge(None, None) == 3
    assert filled().purge("a", None) == 2
    assert filled().purge(None, "m") == 2
    assert filled().purge("a", "m") == 1
    assert filled().purge("c", None) == 0
