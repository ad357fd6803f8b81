"""How long a caller waits: until its deadline, and as its SDK's headers say."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from sidecar.errors import DeadlineExceeded
from sidecar.policy.retry import seconds_of
from sidecar.policy.timeouts import first_byte

if TYPE_CHECKING:
    from sidecar.policy.timeouts import Timers
    from sidecar.proxy.call import Call
    from sidecar.proxy.request import Request

_SAID: Final = b"x-stainless-read-timeout"
"""From the OpenAI and Anthropic SDKs: seconds without a byte after which they give up."""


_ENOUGH: Final = 0.95
"""Share of a caller's patience after which it gets an error: its timer began before ours."""


def bounded(call: Call, request: Request, timers: Timers) -> Request:
    """Return *request* with *timers*, bounded by how long its caller waits."""
    patience = patience_of(call)
    if not patience:
        return request
    seconds = patience * _ENOUGH
    if call.stream:
        return request.replace(timers=timers._replace(first_byte=min(first_byte(timers), seconds)))
    total = seconds if timers.total is None else min(timers.total, seconds)
    return request.replace(timers=timers._replace(total=total))


def patience_of(call: Call) -> float | None:
    """Return the seconds after arrival within which the reply must begin; None: unknown."""
    said = call.head.fields.known.get(_SAID)
    return None if said is None else seconds_of(said)


async def in_time(call: Call, turn: asyncio.Future[None]) -> None:
    """Wait for *turn*, but not after the deadline of *call*. Raise DeadlineExceeded then."""
    if call.deadline is None:
        await turn
        return
    try:
        async with asyncio.timeout(call.deadline - time.monotonic()):
            await turn
    except TimeoutError:
        raise DeadlineExceeded("the call's `total` timeout has expired") from None
