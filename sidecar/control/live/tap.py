"""The calls as they end, as far as somebody wants them, without end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from sidecar.observe.lines import encode

if TYPE_CHECKING:
    from sidecar.control.calls_wanted import Wanted
    from sidecar.observe.calls import Calls

MOST: Final = 8
"""Streams at once."""
_EVERY: Final = 0.25
"""Seconds between two looks."""
_AT_ONCE: Final = 50
"""Calls that are encoded before others on the loop get their turn."""
_QUIET: Final = 60
"""Looks without a call after which a comment shows that the stream goes on."""


async def tap(calls: Calls, wanted: Wanted) -> AsyncIterator[bytes]:
    """Yield an event for each call that ends from now on, the first one first.

    A `missed` event says that some were gone before they could be told: more came between two looks
    than are kept, or the client was slow.
    """
    _, mark = calls.since(None)
    quiet = 0
    yield b": calls follow as they end\n\n"
    while True:
        await asyncio.sleep(_EVERY)
        if calls.lost(mark):
            yield b"event: missed\ndata: {}\n\n"
        new, mark = calls.since(mark)
        told = 0
        for number, call in enumerate(reversed(new), 1):
            if wanted.wants(call):
                told += 1
                yield b"event: call\ndata: %b\n\n" % encode(call).rstrip()
            if not number % _AT_ONCE:
                await asyncio.sleep(0)
        quiet = 0 if told else quiet + 1
        if quiet >= _QUIET:
            quiet = 0
            yield b": no call\n\n"
