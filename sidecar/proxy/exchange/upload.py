"""A buffered body on its way to an endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sidecar.upstream.connect.connection import UpstreamConnection

AT_ONCE: Final = 64 * 1024
"""Bytes. A body up to this is copied behind its head: the copy costs less than a write."""
FITS: Final = 32 * 1024
"""Bytes that a server's kernel accepts before they are read: Linux' window is twice that."""
_SLICE: Final = 256 * 1024


class Upload:
    """Writes a large body slice by slice, as fast as the endpoint accepts it, without a copy.

    A transport would accept all of it at once, but buffer what the kernel does not accept (and with
    TLS all of it again, encrypted).
    """

    __slots__ = ("_connection", "_end", "_rest")

    def __init__(self, connection: UpstreamConnection, content: bytes, end: bytes) -> None:
        self._connection = connection
        self._rest = memoryview(content)
        self._end = end

    def __repr__(self) -> str:
        return f"<Upload {len(self._rest)} bytes left>"

    def go(self) -> bool:
        """Write what the connection accepts now. Return True when everything was written."""
        connection = self._connection
        while self._rest:
            if not connection.writable:
                return False
            piece, self._rest = self._rest[:_SLICE], self._rest[_SLICE:]
            connection.transport.write(piece)
        if self._end:
            connection.transport.write(self._end)
        return True
