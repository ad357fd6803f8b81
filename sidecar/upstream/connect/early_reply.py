"""Reads the reply of a server that closed the connection while we were still sending.

A server that refuses an upload early (401, 413) answers and closes, and the rest of what we send
makes its kernel reset the connection. A write that fails then ends uvloop's transport at once, with
the answer unread; the kernel still has it (tcp(7); curl, urllib3 and nginx read on as well). So a
second descriptor of the socket is kept for as long as a request's body streams.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio

_MOST: Final = 2**20
"""Bytes that are read at most: a refusal is small, and nothing holds its sender back here."""
_PIECE: Final = 65536


class EarlyReply:
    """The early reply of the server at the other end of *transport*. It must be closed."""

    ended = False
    """Whether the server's side was closed in order behind what was read."""

    def __init__(self, transport: asyncio.Transport) -> None:
        """Keep a second descriptor of the socket. Raise OSError if there is none left."""
        sock = transport.get_extra_info("socket")
        if sock is None:  # TLS that was lost, of which its protocol is told in the next step
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        self._sock = socket.socket(sock.family, sock.type, sock.proto, os.dup(sock.fileno()))
        self._sock.setblocking(False)
        self._tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        self._protocol: Any = transport.get_extra_info("uvloop.sslproto")

    def read(self) -> bytes:
        """Return all that came and was not read by the transport, which is closed by now."""
        raw = b"".join(self._raw())
        if self._tls is None or not raw:
            return raw
        view = self._protocol.get_buffer(len(raw))
        text = bytearray()
        for at in range(0, len(raw), len(view)):
            piece = raw[at : at + len(view)]
            view[: len(piece)] = piece
            self._protocol.buffer_updated(len(piece))  # closed, it only keeps them for `_tls`
            text += self._decrypted(self._tls)
        return bytes(text)

    def close(self) -> None:
        """Give the descriptor back."""
        self._sock.close()

    def _raw(self) -> list[bytes]:
        found: list[bytes] = []
        size = 0
        try:
            while size < _MOST:
                data = self._sock.recv(_PIECE)
                if not data:
                    self.ended = True
                    break
                found.append(data)
                size += len(data)
        except OSError:  # nothing is there, or the reset behind it
            pass
        return found

    def _decrypted(self, tls: ssl.SSLObject) -> bytes:
        text = bytearray()
        try:
            while data := tls.read(_PIECE):
                text += data
        except ssl.SSLError:  # no whole record is left, or the server's farewell
            pass
        return bytes(text)
