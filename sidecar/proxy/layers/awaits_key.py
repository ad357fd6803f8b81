"""Refuse what an upstream is to be sent while the file of its key has not come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.errors import KeyAwaited

if TYPE_CHECKING:
    from sidecar.proxy.call import Call
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request

_AGAIN: Final = 1.0
"""Seconds after which a caller may ask again: the file is taken up as it comes."""


class AwaitsKey:
    """Stands in place of all that an attempt at *upstream* goes through."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream

    def __repr__(self) -> str:
        return f"<AwaitsKey of {self._upstream}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Raise KeyAwaited, after which a fallback may be tried."""
        raise KeyAwaited(
            f"upstream {self._upstream} has no key yet: its file is not there, and the sidecar "
            "waits for it; its log names the file",
            retry_after=_AGAIN,
        )
