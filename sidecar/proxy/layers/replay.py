"""Send again, once, what went out on a connection that the server had closed already.

RFC 9112, section 9.3.1, leaves this to those who can know that the request was not processed: a
connection that had rested, and that died without a byte in answer, is such a case as far as it can
be known; every HTTP client with a pool does the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.errors import Stale

if TYPE_CHECKING:
    from sidecar.proxy.call import Call
    from sidecar.proxy.exchange import Exchange
    from sidecar.proxy.layer import Layer


class Replay:
    """One more attempt at the same endpoint, on a new connection."""

    def __init__(self, inner: Layer) -> None:
        self._inner = inner

    async def __call__(self, call: Call) -> Exchange:
        """Replay unless the body is gone."""
        try:
            return await self._inner(call)
        except Stale:
            if call.body.streamed or call.endpoint is None:
                raise
            call.replays += 1
            call.endpoint.stats.replays += 1
            call.fresh = True
            return await self._inner(call)
