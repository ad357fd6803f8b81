"""Authenticate with the upstream's credential instead of the caller's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.errors import TraceRefused

if TYPE_CHECKING:
    from sidecar.config.model import Credentials as Config
    from sidecar.proxy.call import Call
    from sidecar.proxy.exchange import Exchange
    from sidecar.proxy.layer import Layer


class Credentials:
    """Sets the header on every attempt inside."""

    def __init__(self, inner: Layer, config: Config) -> None:
        self._inner = inner
        name = config.header.encode()
        self._credential = (name.lower(), b"\r\n%b: %b" % (name, config.value.encode()))

    async def __call__(self, call: Call) -> Exchange:
        """Replace the caller's header. Raise TraceRefused where the caller would be shown ours."""
        if call.head.method == b"TRACE":
            raise TraceRefused("TRACE is not forwarded to where credentials are added")
        call.credential = self._credential
        return await self._inner(call)
