from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, cast

import pytest

from sidecar.control.live import hub as hub_module
from sidecar.control.live.feed import Feed
from sidecar.control.live.hub import MOST, Hub
from tests.control.plane import Plane


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "_EVERY", 0.001)
    monkeypatch.setattr(hub_module, "_SHARE", 1.0)


class Watched:
    """A hub that counts how often the data plane was asked."""

    def __init__(self) -> None:
        self.plane = Plane()
        self.asked = 0
        self.hub = Hub(self.plane, self._ask, "token")

    async def _ask(self, question: Callable[[], Any]) -> Any:
        self.asked += 1
        return question()

    def watch(self) -> AsyncGenerator[bytes]:
        return cast("AsyncGenerator[bytes]", self.hub.watch())


def event(message: bytes) -> bytes:
    return message.partition(b"\n")[0].removeprefix(b"event: ")


async def test_a_viewer_gets_all_and_then_what_changes() -> None:
    watched = Watched()
    async with aclosing(watched.watch()) as stream:
        got = [event(await anext(stream)) for _ in range(4)]
    assert got == [b"snapshot", b"delta", b"delta", b"delta"]


async def test_one_that_comes_later_gets_all_at_once() -> None:
    watched = Watched()
    async with aclosing(watched.watch()) as first, aclosing(watched.watch()) as second:
        await anext(first)
        assert event(await anext(second)) == b"snapshot"
        assert event(await anext(second)) == b"delta"


async def test_nothing_is_asked_while_nobody_looks() -> None:
    watched = Watched()
    async with aclosing(watched.watch()) as stream:
        for _ in range(3):
            await anext(stream)
    after = watched.asked
    await asyncio.sleep(0.05)  # some fifty times as long as between two messages
    assert watched.asked == after > 0
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    async with aclosing(watched.watch()) as stream:  # and again from the beginning
        assert event(await anext(stream)) == b"snapshot"


async def test_one_that_is_slow_gets_all_anew_and_holds_up_nobody() -> None:
    watched = Watched()
    async with aclosing(watched.watch()) as slow, aclosing(watched.watch()) as quick:
        assert event(await anext(slow)) == b"snapshot"
        assert [event(await anext(quick)) for _ in range(9)] == [b"snapshot"] + [b"delta"] * 8
        assert event(await anext(slow)) == b"snapshot"
        assert event(await anext(slow)) == b"delta"


async def test_there_is_room_for_so_many() -> None:
    watched = Watched()
    streams = [watched.watch() for _ in range(MOST)]
    room = []
    for stream in streams:
        room.append(not watched.hub.full)
        await anext(stream)
    room.append(not watched.hub.full)
    await streams[0].aclose()
    assert room == [True] * MOST + [False]
    assert not watched.hub.full
    for stream in streams[1:]:
        await stream.aclose()


async def test_an_error_ends_no_stream(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    step, tried = Feed.step, list[int]()

    async def fails(self: Feed) -> bytes:
        tried.append(1)
        if len(tried) <= 2:
            raise ValueError("what was not thought of")
        return await step(self)

    monkeypatch.setattr(Feed, "step", fails)
    watched = Watched()
    async with aclosing(watched.watch()) as stream:
        assert [event(await anext(stream)) for _ in range(3)] == [b"snapshot", b"delta", b"delta"]
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


async def test_an_error_at_the_beginning_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begin, tried = Feed.begin, list[int]()

    async def fails(self: Feed) -> None:
        tried.append(1)
        if len(tried) == 1:
            raise ValueError("what was not thought of")
        await begin(self)

    monkeypatch.setattr(Feed, "begin", fails)
    watched = Watched()
    async with aclosing(watched.watch()) as stream:
        assert event(await anext(stream)) == b"snapshot"
    assert len(caplog.records) == 1
