"""Looks at the first bytes of a connection and leaves them where they are.

The TLS transport or tunnel that then gets the socket reads them again.
`SO_RCVLOWAT` (socket(7)) makes the kernel wake us for more bytes, not for those that we know.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

_USUAL: Final = 1
"""SO_RCVLOWAT as it is by default."""
_HANG_UP: Final = getattr(select, "POLLRDHUP", 0)
"""Linux tells of the other side's end even while there is input unread; others of a reset only."""


async def peek(
    sock: socket.socket, judge: Callable[[bytes], T | None], most: int, seconds: float
) -> T | None:
    """What *judge* says of the first bytes, as soon as it is not None; it has to be by *most*.

    None when nothing more comes: for *seconds*, or because the client has ended or gone.
    """
    known = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                await _readable(sock)
                data = sock.recv(most, socket.MSG_PEEK)
                verdict = judge(data)
                if verdict is not None or len(data) <= known:
                    return verdict
                known = len(data)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, known + 1)
    except (TimeoutError, BlockingIOError, ConnectionError):
        return None
    finally:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _USUAL)


def has_left(sock: socket.socket) -> bool:
    """Whether the client has closed its side, behind whatever it sent."""
    poll = select.poll()
    poll.register(sock, _HANG_UP)
    return bool(poll.poll(0))


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    readable = loop.create_future()
    loop.add_reader(sock, _done, readable)
    try:
        await readable
    finally:
        loop.remove_reader(sock)


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
