"""Connect to where a connection that is passed on was going."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

import aiohappyeyeballs

from sidecar.errors import ConnectFailed, TimedOut
from sidecar.upstream.own import own_socket

if TYPE_CHECKING:
    from aiohappyeyeballs import AddrInfoType

    from sidecar.listen.original import Target

_NEXT_ADDRESS_AFTER: Final = 0.25
"""Seconds (RFC 8305, section 8)."""
_WITHIN: Final = 10.0
"""Seconds for the name and the connection; a kernel would try for two minutes."""


async def resolve(target: Target) -> list[AddrInfoType]:
    """The addresses of *target*. Raise ConnectFailed if it has none."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_WITHIN):
            return list(await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError):  # a timeout, too
        raise ConnectFailed(
            f"the name {target.host} does not resolve", code="resolve_failed"
        ) from None


async def dial(target: Target, addresses: list[AddrInfoType]) -> socket.socket:
    """A connection to *target* at one of *addresses*. Raise ConnectFailed or TimedOut."""
    try:
        async with asyncio.timeout(_WITHIN):
            return await aiohappyeyeballs.start_connection(
                addresses,
                happy_eyeballs_delay=_NEXT_ADDRESS_AFTER,
                interleave=1,
                socket_factory=own_socket,
            )
    except TimeoutError:
        raise TimedOut(
            f"no connection to {target} in {_WITHIN:g} s", code="connect_timeout"
        ) from None
    except OSError as error:
        raise ConnectFailed(f"can't connect to {target}: {error}") from error
