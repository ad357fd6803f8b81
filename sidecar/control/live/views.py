"""What is computed for those who look: the live page's stream, calls as they end, the status."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from sidecar.control.answers import Answer, Request, refusal
from sidecar.control.calls_wanted import Wanted, read
from sidecar.control.live.feed import Ask, Feed
from sidecar.control.live.hub import Hub
from sidecar.control.live.tap import MOST, tap

if TYPE_CHECKING:
    from sidecar.control.inspected import Inspected

_EVENTS = "text/event-stream"


class Views:
    """Answers in the running loop. All streams are bounded."""

    def __init__(self, inspected: Inspected, ask: Ask[Any], token: str) -> None:
        self._inspected = inspected
        self._ask = ask
        self._token = token
        self._hub = Hub(inspected, ask, token)
        self._taps = 0

    async def show(self, request: Request) -> Answer:
        """Answer *request* for one of these pages."""
        if request.path == "/status":
            return await self._status()
        return self._tap(request) if request.path == "/tap" else self._watch()

    async def _status(self) -> Answer:
        feed = Feed(self._inspected, self._ask, self._token)
        await feed.begin()
        return Answer(feed.status())

    def _watch(self) -> Answer:
        if self._hub.full:
            return refusal(503, "too_many_viewers", "others are looking; close one of their pages")
        return Answer(None, content_type=_EVENTS, stream=self._hub.watch())

    def _tap(self, request: Request) -> Answer:
        try:
            wanted = read(request.query)
        except ValueError as error:
            return refusal(400, "bad_filter", str(error))
        if not self._inspected.calls.keeps:
            return refusal(409, "no_calls_kept", "the configuration has `calls.keep: 0`")
        if self._taps >= MOST:
            return refusal(503, "too_many_viewers", f"{MOST} others follow the calls already")
        return Answer(None, content_type=_EVENTS, stream=self._counted(wanted))

    async def _counted(self, wanted: Wanted) -> AsyncIterator[bytes]:
        self._taps += 1
        try:
            async for event in tap(self._inspected.calls, wanted):
                yield event
        finally:
            self._taps -= 1
