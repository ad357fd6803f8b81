"""TCP connections to the addresses of a name (RFC 8305, "Happy Eyeballs").

uvloop's `create_connection` tries addresses one after another, and its `sock_connect` looks up the
address that it is given again, in libuv's four threads. Here connecting needs no thread.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from typing import Final

from sidecar.upstream.connect.descriptors import FULL
from sidecar.upstream.connect.own_sockets import own_socket
from sidecar.upstream.connect.resolver import AddrInfo

NEXT_ADDRESS_AFTER: Final = 0.25
"""Seconds until the next address is tried beside those before (RFC 8305, section 8)."""
_LOCAL: Final = {
    errno.EMFILE: FULL,
    errno.ENFILE: "the machine has no file descriptors left",
    errno.ENOBUFS: "the machine has no network buffers left",
    errno.ENOMEM: "the machine has no memory left",
    errno.EADDRNOTAVAIL: "the machine has no local address or port left",
    errno.EAGAIN: "the machine has no thread, port or route left",
}


def local_reason(error: OSError) -> str | None:
    """Return what *error* says is missing on this machine; None if it is about the other side."""
    return _LOCAL.get(error.errno or 0)


async def connect(infos: Sequence[AddrInfo]) -> socket.socket:
    """Connect to the first of *infos* that accepts.

    Raise OSError, that of the address which told most, when none does.
    """
    if len(infos) == 1:
        return await _connect_to(infos[0])
    return await _race(interleaved(infos))


def interleaved(infos: Iterable[AddrInfo]) -> list[AddrInfo]:
    """Alternate the address families, else keep the resolver's order (RFC 8305, section 4)."""
    families: dict[int, list[AddrInfo]] = {}
    for info in infos:
        families.setdefault(info[0], []).append(info)
    turns = chain.from_iterable(zip_longest(*families.values()))
    return [info for info in turns if info is not None]


async def _race(infos: list[AddrInfo]) -> socket.socket:
    """Start the next attempt when one has failed or is slow. The first connection wins."""
    left, failures = deque(infos), list[OSError]()
    running: set[asyncio.Task[socket.socket]] = set()
    try:
        while left or running:
            if left:
                running.add(asyncio.create_task(_connect_to(left.popleft())))
            patience = NEXT_ADDRESS_AFTER if left else None
            done, running = await asyncio.wait(
                running, timeout=patience, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                error = task.exception()
                if error is None:
                    running |= done - {task}  # they may have connected in the same step
                    return task.result()
                if not isinstance(error, OSError):
                    raise error
                failures.append(error)
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_close_late)
    # What the other side said tells more than that we have no IPv6, say.
    raise next((error for error in failures if local_reason(error) is None), failures[0])


def _close_late(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _connect_to(info: AddrInfo) -> socket.socket:
    sock = own_socket(info)
    try:
        await _connected(sock, info[4])
    except BaseException:
        sock.close()
        raise
    return sock


async def _connected(sock: socket.socket, address: tuple[object, ...]) -> None:
    try:
        sock.connect(address)
    except BlockingIOError as error:
        if error.errno != errno.EINPROGRESS:  # EAGAIN: connect(2), no local port or route is left
            raise
    else:
        return
    loop = asyncio.get_running_loop()
    writable = loop.create_future()
    loop.add_writer(sock, _settle, writable)
    try:
        await writable
    finally:
        loop.remove_writer(sock)
    if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, f"{os.strerror(code)} ({address[0]})")


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
