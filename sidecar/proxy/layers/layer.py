"""What a stack is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sidecar.proxy.call import Call
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request


class Layer(Protocol):
    """One concern of a call's life, around the layers inside it."""

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Return a reply that begins to be here. Raise CallError if there is none.

        A layer may answer by itself, hand on another request, return the reply with a tap or a
        transform, and wait for its end (`on_settled`). What was returned belongs to the caller of
        the layer, who writes it into a sink, or abandons it.
        """
