from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from sidecar.control.calls_wanted import Wanted
from sidecar.control.live import tap as tap_module
from sidecar.control.live.tap import tap
from sidecar.observe.calls import Calls, CallsSettings
from sidecar.observe.record import CallRecord

EVERYTHING = Wanted()


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tap_module, "_EVERY", 0.001)


def kept(keep: int = 10) -> Calls:
    return Calls(CallsSettings(keep, 0, 0, 2**20))


def call(name: str, status: int = 200, endpoint: str = "") -> CallRecord:
    return CallRecord(1e9, name, status=status, endpoint=endpoint)


class Tapped:
    def __init__(self, stream: AsyncGenerator[bytes]) -> None:
        self.stream = stream

    async def next(self) -> str:
        """The id of the next call, or the kind of another event."""
        event = (await anext(self.stream)).decode()
        assert event.endswith("\n\n")
        if not event.startswith("event: call\n"):
            return event.partition("\n")[0]
        return str(json.loads(event.partition("data: ")[2])["request_id"])


@asynccontextmanager
async def tapped(calls: Calls, wanted: Wanted = EVERYTHING) -> AsyncIterator[Tapped]:
    stream = cast("AsyncGenerator[bytes]", tap(calls, wanted))
    try:
        assert (await anext(stream)).startswith(b": ")
        yield Tapped(stream)
    finally:
        await stream.aclose()


async def test_calls_come_once_in_the_order_in_which_they_end() -> None:
    calls = kept()
    calls.append(call("before"))
    async with tapped(calls) as of:
        for name in ("a", "b"):
            calls.append(call(name))
        assert [await of.next(), await of.next()] == ["a", "b"]
        calls.append(call("a"))  # an id may come again
        assert await of.next() == "a"


async def test_the_first_calls_of_all() -> None:
    calls = kept()
    async with tapped(calls) as of:
        calls.append(call("first"))
        assert await of.next() == "first"


async def test_only_what_is_wanted_comes() -> None:
    calls = kept()
    async with tapped(calls, Wanted(errors=True, endpoint="glm")) as of:
        for name, status, endpoint in (
            ("a", 200, "glm"),
            ("b", 503, "x"),
            ("c", 503, "http://glm"),
        ):
            calls.append(call(name, status, endpoint=endpoint))
        assert await of.next() == "c"


async def test_calls_that_were_too_many_are_told_of() -> None:
    calls = kept(3)
    async with tapped(calls) as of:
        calls.append(call("seen"))
        assert await of.next() == "seen"
        for number in range(5):
            calls.append(call(str(number)))
        assert [await of.next() for _ in range(4)] == ["event: missed", "2", "3", "4"]


async def test_a_silent_stream_says_that_it_goes_on() -> None:
    calls = kept()
    async with tapped(calls) as of:
        assert await asyncio.wait_for(of.next(), 30) == ": no call"
