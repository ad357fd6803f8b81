"""How a socket is closed so that its peer sees a reset, and never an end in order."""

from __future__ import annotations

import socket
import struct
from typing import Final

_NO_LINGER: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of no time (socket(7)): close(2) drops what is unsent and sends a reset."""


def reset_on_close(sock: socket.socket) -> None:
    """Have *sock* send a reset when it is closed. Raise OSError if it is closed already."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
