"""A connection of the admin server, with a transport whose events a test brings about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from sidecar.control.admin_http import AdminHttp
from sidecar.control.answers import Answer, Request
from tests.listen.transports import Transport


class Breaking(Transport):
    """Finds in a write that the other side is gone, and tells of it in a later step."""

    more = 0
    """Writes after that."""

    def write(self, data: Any) -> None:
        if self.lost:
            self.more += 1
        elif self.written:  # the head went through
            self.breaks(BrokenPipeError())
        else:
            self.written += data


async def test_a_stream_ends_when_its_client_is_found_gone_in_a_write() -> None:
    ended = False

    async def events() -> AsyncIterator[bytes]:
        nonlocal ended
        try:
            while True:
                yield b"data: 1\n\n"
                await asyncio.sleep(0)
        finally:
            ended = True

    async def answer(_: Request) -> Answer:
        return Answer(None, content_type="text/event-stream", stream=events())

    transport = Breaking(AdminHttp(answer, 8).connect())
    transport.comes(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for _ in range(50):
        await asyncio.sleep(0)
    assert transport.lost
    assert ended
    assert transport.more == 0
