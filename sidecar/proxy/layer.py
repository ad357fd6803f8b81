"""What a stack is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sidecar.proxy.call import Call
    from sidecar.proxy.exchange import Exchange


class Layer(Protocol):
    """One concern of a call's life, around the layers inside it."""

    async def __call__(self, call: Call) -> Exchange:
        """Return the exchange whose reply begins to be here. Raise CallError if there is none."""
