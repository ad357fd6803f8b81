"""A reply's way onto the wire, token by token, and the ways in which it can break there."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from random import Random
from typing import Final

from aiohttp import web

from sidecar.simulate.answer import Stream, Whole
from sidecar.simulate.behaviour import MIDWAY
from sidecar.simulate.plan import Plan

Sleep = Callable[[float], Awaitable[object]]

SLOW_GAP: Final = 0.01
"""Seconds between the bytes of a slow reply."""

_BREAKS: Final = frozenset(MIDWAY) - {"slow_bytes"}
# SO_LINGER on with a timeout of zero: close() sends RST instead of FIN (socket(7)).
_RESET: Final = struct.pack("ii", 1, 0)


class Pace:
    """Waits until the next token is due: the first at once, then *per_second*, strayed by *jitter*.

    Tokens are due by the clock, so that late wake-ups do not add up.
    """

    def __init__(
        self,
        per_second: float,
        jitter: float,
        rng: Random,
        sleep: Sleep,
        clock: Callable[[], float],
    ) -> None:
        self._gap = 1 / per_second if per_second else 0.0
        self._jitter = jitter
        self._rng = rng
        self._sleep = sleep
        self._clock = clock
        self._due = self._clock()

    async def wait(self) -> None:
        """Return when the next token is due; always give others a turn."""
        await self._sleep(max(0.0, self._due - self._clock()))
        self._due += self._gap * (1 + self._jitter * self._rng.uniform(-1, 1))


async def generate(
    answer: Whole | Stream, plan: Plan, pace: Pace, count: Callable[[], None]
) -> AsyncGenerator[bytes, None]:
    """The pieces of a reply as they come into being; *count* is called for each token sent."""
    if isinstance(answer, Whole):
        # In two, so that there is a middle to break at.
        middle = 1 + int(plan.cut * (len(answer.body) - 1))
        yield answer.body[:middle]
        yield answer.body[middle:]
        return
    yield answer.opening
    for delta in answer.deltas:
        await pace.wait()
        yield delta
        count()
    yield answer.closing


async def send(
    request: web.Request,
    response: web.StreamResponse,
    pieces: AsyncGenerator[bytes, None],
    plan: Plan,
    tokens: int,
    sleep: Sleep,
) -> bool:
    """Send head and *pieces*; False when the plan's fault broke the reply off."""
    await response.prepare(request)
    last = 1 + int(plan.cut * tokens) if plan.fault in _BREAKS else None
    sent = 0
    async with aclosing(pieces):
        async for piece in pieces:
            if sent == last:
                await _break_off(request, plan.fault)
                return False
            await _write(response, piece, SLOW_GAP if plan.fault == "slow_bytes" else 0.0, sleep)
            sent += 1
    await response.write_eof()
    return True


async def _write(response: web.StreamResponse, piece: bytes, gap: float, sleep: Sleep) -> None:
    if not gap:
        return await response.write(piece) if piece else None
    for at in range(len(piece)):
        await response.write(piece[at : at + 1])
        await sleep(gap)
    return None


async def _break_off(request: web.Request, fault: str) -> None:
    if fault == "stall":
        await hang()
    if fault == "reset_midway":
        reset(request)
    elif request.transport is not None:
        request.transport.close()


async def hang() -> None:
    """Wait until the caller leaves, which cancels this."""
    await asyncio.Event().wait()


def reset(request: web.Request) -> None:
    """Cut the caller's connection with a TCP reset."""
    if request.transport is not None:
        request.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, _RESET
        )
        request.transport.abort()
