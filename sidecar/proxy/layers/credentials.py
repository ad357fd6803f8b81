"""Authenticate with the upstream's credential instead of the caller's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.errors import TraceRefused

if TYPE_CHECKING:
    from sidecar.config.model import Credentials as Config
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request


class Credentials:
    """Sets the credential's header on every attempt."""

    def __init__(self, inner: Layer, config: Config) -> None:
        self._inner = inner
        name = config.header.encode()
        self._edits = {name.lower(): b"\r\n%b: %b" % (name, config.value.encode())}

    def __repr__(self) -> str:
        return f"<Credentials in {', '.join(name.decode() for name in self._edits)}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Replace the caller's header. Raise TraceRefused if the reply would show ours."""
        if request.method == b"TRACE":
            raise TraceRefused(
                "TRACE is refused: the reply would show credentials that the sidecar adds"
            )
        return await self._inner(call, request.edited(self._edits))
