"""Calls go to a provider as fast as its rate limit allows, by what its replies tell of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.layers.turns import Quota, Turns
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request


class Paced:
    """Wraps each attempt: retries take their turn again, and hedges take one.

    Where an upstream has several keys, `Keys` takes the turns, as each key may have its quota.
    """

    def __init__(self, inner: Layer, turns: Turns, quota: Quota) -> None:
        self._inner = inner
        self._turns = turns
        self._quotas = (quota,)

    def __repr__(self) -> str:
        return f"<Paced by quota {self._quotas[0].name}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Wait for a turn. Raise QuotaSpent (429) if there is none in time."""
        turn = await self._turns.take(call, request, self._quotas)
        return await turn.send(self._inner, call, request)

    def room(self, call: Call, request: Request) -> bool:
        """Whether another attempt would get its turn at once."""
        return self._turns.room(call, request, self._quotas)
