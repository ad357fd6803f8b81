"""Connects to the destination of a connection that is passed on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from sidecar.errors import CallError, ConnectFailed, LocalFailure, TimedOut
from sidecar.observe.shortage import note
from sidecar.upstream.connect.happy_eyeballs import connect, local_reason
from sidecar.upstream.connect.resolver import AddrInfo, literal, says_no, with_port

if TYPE_CHECKING:
    from sidecar.listen.intercept.original_destination import Destination

_WITHIN: Final = 10.0
"""Seconds for the name, and for the connection; a kernel would try for two minutes."""


async def resolve(
    target: Destination, find: Callable[[str], Awaitable[list[AddrInfo]]]
) -> list[AddrInfo]:
    """Return the addresses of *target*; if it is a name, *find* asks a resolver for them.

    Raise ConnectFailed if there is no such name, LocalFailure if the resolver does not answer.
    """
    known = literal(target.host, target.port)
    if known is not None:
        return known
    try:
        async with asyncio.timeout(_WITHIN):
            return with_port(await find(target.host), target.port)
    except (OSError, UnicodeError) as error:  # a timeout, too
        raise _unresolved(target, error) from None


def _unresolved(target: Destination, error: Exception) -> CallError:
    if says_no(error):
        return ConnectFailed(f"the name {target.host} does not resolve", code="resolve_failed")
    return LocalFailure(
        f"the resolver does not answer for {target.host}: {error}".removesuffix(": "),
        code="resolver_failed",
    )


async def dial(target: Destination, addresses: list[AddrInfo]) -> socket.socket:
    """Connect to *target* at one of *addresses*.

    Raise ConnectFailed or TimedOut, or LocalFailure if our machine has no means for it.
    """
    timer = asyncio.timeout(_WITHIN)
    try:
        async with timer:
            return await connect(addresses)
    except OSError as error:
        if timer.expired():
            message = f"no connection to {target} in {_WITHIN:g} s"
            raise TimedOut(message, code="connect_timeout") from None
        missing = local_reason(error)
        if missing is not None:
            note("endpoint", missing)
            raise LocalFailure(f"no connection to {target}: {missing}") from error
        raise ConnectFailed(f"can't connect to {target}: {error.strerror or error}") from error
