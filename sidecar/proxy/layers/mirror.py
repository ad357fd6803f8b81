"""Send copies of some calls to another upstream, and discard its replies and failures."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

from sidecar.errors import CallError, forget_frames
from sidecar.proxy.detached import detach
from sidecar.proxy.record import MIRROR

if TYPE_CHECKING:
    from sidecar.observe.stats import RouteStats
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.fallback import Target
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request

_GIVE_UP: Final = 600.0
"""Seconds after which a copy is abandoned."""


class Mirror:
    """At most *most* copies are in flight: a slow mirror gets fewer and delays nothing."""

    def __init__(
        self, inner: Layer, target: Target, share: float, most: int, stats: RouteStats
    ) -> None:
        self._inner = inner
        self.target = target
        self._share = share
        self._most = most
        self._stats = stats
        self._copies: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Mirror {self._share:.0%} to {self.target!r}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Send the copy beside the call."""
        if call.body.complete and not call.head.upgrade and random.random() < self._share:
            self._send(call, request)
        return await self._inner(call, request)

    def _send(self, call: Call, request: Request) -> None:
        if len(self._copies) >= self._most or call.body.memory.waiting:
            self._stats.mirrored["skipped"] += 1
            return
        copy, asked = detach(call, request)
        task = asyncio.create_task(self._carry(copy, asked.replace(why=MIRROR)))
        self._copies.add(task)
        task.add_done_callback(self._copies.discard)

    async def _carry(self, copy: Call, request: Request) -> None:
        reply = None
        try:
            async with asyncio.timeout(_GIVE_UP):
                reply = await self.target(copy, request)
                reply.write_into(copy.sink)
                await reply.finish()
            self._stats.mirrored[str(reply.head.status)] += 1
        except (CallError, TimeoutError) as error:
            self._stats.mirrored[getattr(error, "code", "timeout")] += 1
            forget_frames(error)
        finally:
            copy.body.free()
            if reply is not None:
                reply.abandon()
