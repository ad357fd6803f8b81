"""The interface of a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sidecar.proxy.call import Call
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request


class Layer(Protocol):
    """One concern in the life of a call, wrapped around the layers inside it."""

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Return a reply that has begun to arrive. Raise CallError if there is none.

        A layer may answer itself, pass on another request, wrap the reply in a tap or a transform,
        and wait for its end (`on_settled`). The caller of the layer owns the returned reply: it
        writes it into a sink, or abandons it.
        """
