"""How many written bytes the peer has not acknowledged yet."""

from __future__ import annotations

import sys
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


def unsent(transport: asyncio.Transport) -> int:
    """Return the bytes in our buffer and in the kernel's, which may be megabytes.

    `TIOCOUTQ` counts unacknowledged bytes (tcp(7), unix(7), where it is called SIOCOUTQ).
    """
    sock = transport.get_extra_info("socket")
    if sock is None:  # a TLS connection was lost, and its protocol is told in the next step
        return 0
    queued = ioctl(sock.fileno(), TIOCOUTQ, bytes(4))
    return transport.get_write_buffer_size() + int.from_bytes(queued, sys.byteorder)
