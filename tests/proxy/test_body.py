"""A request's body that breaks tells whoever takes it, then or later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from sidecar.errors import BadMessage, CallError
from sidecar.http.message import Header
from sidecar.proxy.body import RequestBody

BROKEN = BadMessage("malformed")


class Downstream:
    def pause_reading(self, reason: int) -> None:
        pass

    def resume_reading(self, reason: int) -> None:
        pass


class Consumer:
    def __init__(self) -> None:
        self.taken: list[bytes | CallError] = []

    def send_body(self, data: bytes) -> None:
        self.taken.append(data)

    def send_end(self, trailers: Sequence[Header]) -> None:
        raise AssertionError("it never ends")

    def fail(self, error: CallError) -> None:
        self.taken.append(error)


@pytest.mark.parametrize("streams_first", [True, False])
def test_a_body_that_breaks_fails_its_consumer(streams_first: bool) -> None:
    body, consumer = RequestBody(cast(Any, Downstream())), Consumer()
    body.feed(b"some")
    if streams_first:
        body.stream_into(consumer)
        body.fail(BROKEN)
    else:  # it broke while its call waited for a connection
        body.fail(BROKEN)
        body.stream_into(consumer)
    assert consumer.taken == [b"some", BROKEN]


async def test_a_body_that_breaks_while_it_is_held_fails_who_waits() -> None:
    body = RequestBody(cast(Any, Downstream()))
    holding = body.hold(1000, 60)
    waits = holding.send(None)
    body.fail(BROKEN)
    assert cast(Any, waits).exception() is BROKEN
    holding.close()


async def test_a_body_that_broke_before_it_is_held_makes_nobody_wait() -> None:
    body = RequestBody(cast(Any, Downstream()))
    body.fail(BROKEN)
    with pytest.raises(BadMessage) as raised:
        await body.hold(1000, 60)
    assert raised.value is BROKEN
