"""How much of what was written the other side has not taken yet."""

from __future__ import annotations

import sys
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


def unsent(transport: asyncio.Transport) -> int:
    """Bytes in our buffer and in the kernel's, which may hold megabytes of a slow reader's.

    `TIOCOUTQ` counts what was not acknowledged (tcp(7), unix(7), where it is called SIOCOUTQ).
    """
    sock = transport.get_extra_info("socket")
    if sock is None:  # TLS that was lost, of which its protocol is told in the next step
        return 0
    queued = ioctl(sock.fileno(), TIOCOUTQ, bytes(4))
    return transport.get_write_buffer_size() + int.from_bytes(queued, sys.byteorder)
