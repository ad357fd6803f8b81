"""Transports whose every event a test brings about itself. Nothing goes through their sockets."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

HIGH = 65536
"""Bytes unsent at which a protocol is told to pause writing."""


class Transport(asyncio.Transport):
    """As uvloop's: it writes what it can at once, and tells of its end in a later step."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._sockets = socket.socketpair()
        super().__init__({"peername": ("127.0.0.1", 1), "socket": self._sockets[0]})
        self.protocol = protocol
        self.takes = True
        """Whether the other side takes what is written."""
        self.reading = True
        self.closing = False
        self.lost = False
        self.written = bytearray()
        self._unsent = 0
        self._full = False
        protocol.connection_made(self)

    # -- the other side --

    def comes(self, data: bytes) -> bool:
        """Deliver *data*; False where reading is paused."""
        if not self.reading or self.closing:
            return False
        self.protocol.data_received(data)
        return True

    def drains(self) -> None:
        """The other side takes all that it was sent, and goes on to."""
        self.takes = True
        self._unsent = 0
        if self._full and not self.lost:
            self._full = False
            self.protocol.resume_writing()
        if self.closing:
            self._lose(None)

    def breaks(self, error: Exception | None) -> None:
        """The connection ends, with *error* or at the other side's wish."""
        if self.closing:
            return
        if error is None and self.protocol.eof_received():
            self.reading = False
            return
        self._lose(error)

    # -- what protocols call --

    def write(self, data: Any) -> None:
        if self.lost:
            return
        self.written += data
        self._unsent += 0 if self.takes else len(data)
        if self._unsent > HIGH and not self._full:
            self._full = True
            self.protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return self._unsent

    def pause_reading(self) -> None:
        self.reading = self.reading and self.closing

    def resume_reading(self) -> None:
        self.reading = self.reading or not self.closing

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def close(self) -> None:
        if not self.closing and self._unsent:
            self.closing, self.reading = True, False
        elif not self.closing:
            self._lose(None)

    def abort(self) -> None:
        self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        self.closing, self.reading = True, False
        if not self.lost:
            self.lost = True
            asyncio.get_running_loop().call_soon(self._tell, error)

    def _tell(self, error: Exception | None) -> None:
        self.protocol.connection_lost(error)
        for sock in self._sockets:
            sock.close()
