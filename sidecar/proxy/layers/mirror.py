"""Send a copy of some calls to another upstream: its replies are thrown away, its failures too."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final, cast

from sidecar.config.model import Trust
from sidecar.errors import CallError, forget_frames
from sidecar.proxy.body import RequestBody
from sidecar.proxy.call import Call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecar.http.message import Header
    from sidecar.observe.stats import RouteStats
    from sidecar.proxy.exchange import Exchange
    from sidecar.proxy.layer import Layer
    from sidecar.proxy.layers.fallback import Target

_GIVE_UP: Final = 600.0
"""Seconds after which a copy is not waited for any longer."""


class Mirror:
    """At most *most* copies are under way: a slow mirror gets fewer, and holds nothing up."""

    def __init__(
        self, inner: Layer, target: Target, share: float, most: int, stats: RouteStats
    ) -> None:
        self._inner = inner
        self._target = target
        self._share = share
        self._most = most
        self._stats = stats
        self._copies: set[asyncio.Task[None]] = set()

    async def __call__(self, call: Call) -> Exchange:
        """Send the copy beside the call."""
        if call.body.complete and not call.head.upgrade and random.random() < self._share:
            self._send(call)
        return await self._inner(call)

    def _send(self, call: Call) -> None:
        if len(self._copies) >= self._most or call.body.memory.waiting:
            self._stats.mirrored["skipped"] += 1
            return
        task = asyncio.create_task(self._carry(_copy(call)))
        self._copies.add(task)
        task.add_done_callback(self._copies.discard)

    async def _carry(self, copy: Call) -> None:
        try:
            async with asyncio.timeout(_GIVE_UP):
                exchange = await self._target(copy)
                copy.exchange = exchange
                exchange.write_into(Discard())
                await exchange.finish()
            self._stats.mirrored[str(exchange.head.status)] += 1
        except (CallError, TimeoutError) as error:
            self._stats.mirrored[getattr(error, "code", "timeout")] += 1
            forget_frames(error)
        finally:
            copy.body.free()
            if copy.exchange is not None:
                copy.exchange.abandon()
                copy.exchange = None  # it refers to the copy


class Discard:
    """Takes a reply and keeps nothing."""

    relay: None = None

    def begin(self, held: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        """Nobody reads it."""

    def write(self, held: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        """Nor this."""


class Nowhere:
    """A downstream connection that takes everything at once."""

    writable = True
    trust = Trust()
    transport = cast("asyncio.Transport", None)

    def __init__(self, peer: str) -> None:
        self.peer = peer

    def pause_reading(self, reason: int) -> None:
        """Nothing is read."""

    def resume_reading(self, reason: int) -> None:
        """Nothing is read."""

    def reset(self) -> None:
        """Nothing is open."""

    def finished(self, call: Call, now: float) -> None:
        """Nothing follows."""


def _copy(call: Call) -> Call:
    nowhere = Nowhere(call.downstream.peer)
    copy = Call(nowhere, call.head, RequestBody(nowhere, call.body.memory, call.body.content()))
    copy.body.trailers = call.body.trailers
    copy.trace, copy.request_id, copy.ids = call.trace, call.request_id, call.ids
    copy.route, copy.captured, copy.target = call.route, call.captured, call.target
    copy.body.unpacked = call.body.unpacked
    copy.body.count_copies()
    copy.model, copy.stream = call.model, call.stream
    copy.asked, copy.unreadable = call.asked, call.unreadable
    copy.hops_left = call.hops_left
    copy.hold_interims = True  # for good: there is nobody to send them to
    return copy
