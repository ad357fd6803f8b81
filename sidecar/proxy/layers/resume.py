"""Take up the stream of a stored response again where it broke, without a loss or a double event.

A response with `background` goes on at its provider when its stream breaks, and its events are
numbered: what is behind the last one that the caller got is asked for at the same endpoint, with
the same key, and continues the caller's stream. That is no retry: nothing is made anew. So it is
right around the attempt: whatever counts, limits or holds a place does so once.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sidecar.errors import ModelUnknown
from sidecar.llm.stored_stream import NAME, StoredStream, runs_in_background
from sidecar.proxy.layers.readable import plain_body
from sidecar.proxy.layers.resumed import PLAIN, Asked, Resumed, streams

if TYPE_CHECKING:
    from sidecar.observe.stats import RouteStats
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.attempt import Attempt
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request

_STORED: Final = re.compile(rb"(.*/responses)(?:/(%b))?/?" % NAME.encode())
_STREAM: Final = re.compile(rb"(?:^|&)stream=true(?=&|$)")
_AFTER: Final = re.compile(rb"(?:^|&)starting_after=([0-9]{1,18})(?=&|$)")
_OURS: Final = re.compile(rb"(?:^|&)(?:stream|starting_after)=[^&]*")


class Resume:
    """Wraps the attempt. *tries*: so many in a row may bring no event."""

    def __init__(self, inner: Attempt, tries: int, hold: int, stats: RouteStats) -> None:
        self._inner = inner
        self._tries = tries
        self._hold = hold
        self._stats = stats

    def __repr__(self) -> str:
        return f"<Resume, {self._tries} tries>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Make the attempt; its reply is taken up again if it is the stream of a stored response.

        Such a stream is not held back until its first content: another attempt would make another
        response, while this one goes on.
        """
        asked = await self._asked(call, request)
        if asked is None:
            return await self._inner(call, request)
        request = _ungated(request.edited(PLAIN))
        exchange = await self._inner(call, request)
        if not streams(exchange):
            return exchange
        return Resumed(self._inner, call, request, exchange, asked, self._tries, self._stats)

    async def _asked(self, call: Call, request: Request) -> Asked | None:
        """Return what the call asks for, if it is such a stream."""
        path, _, query = request.target.partition(b"?")
        found = _STORED.fullmatch(path)
        if found is None or call.head.upgrade:
            return None
        rest = _OURS.sub(b"", query).strip(b"&")
        if found[2] is not None:
            if request.method != b"GET" or _STREAM.search(query) is None:
                return None
            after = _AFTER.search(query)
            stream = StoredStream(found[2].decode(), None if after is None else int(after[1]))
            return Asked(found[1], rest, stream)
        if request.method != b"POST" or not request.stream:
            return None
        try:
            body = await plain_body(call, request, self._hold)
        except ModelUnknown:  # it can't be decompressed
            return None
        if body is None or not runs_in_background(body):
            return None
        return Asked(found[1], rest, StoredStream())


def _ungated(request: Request) -> Request:
    reading = request.reading
    return request if reading is None else request.replace(reading=reading.ungated())
