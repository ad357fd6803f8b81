"""A reverse listener whose callers connect with https.

Each connection is served with the certificate that is right when it is accepted, so that a reload
replaces it without another `bind`. asyncio's servers keep the context that they began with.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

from sidecar.errors import BadMessage
from sidecar.listen.intercept.peek import peek
from sidecar.listen.intercept.raw_listener import RawListener
from sidecar.listen.refusal import refusal
from sidecar.listen.tls_connection import TlsConnection
from sidecar.policy.client_certificates import ClientCertificate, read_certificate

if TYPE_CHECKING:
    import socket

    from sidecar.config.model import Listener as Config
    from sidecar.listen.files import Files
    from sidecar.listen.intercept.raw_listener import Peer

_PLAIN: Final = "this address takes HTTPS, and the call is plain HTTP: use https://"


class TlsListener(RawListener):
    """Ends TLS, and learns what the callers' certificates say."""

    def take(self, config: Config, files: Files) -> None:
        """Serve new connections with other *files*.

        Where other CAs sign callers' certificates now, connections from before end after their
        call: their certificates were verified against the old ones.
        """
        before = self.files
        super().take(config, files)
        if before.authorities != files.authorities:
            self.close_idle()

    async def carry(self, sock: socket.socket, peer: Peer) -> None:
        """Serve *sock* inside TLS; close it if TLS can't be agreed on.

        Plain HTTP gets an answer that says so: a client that sees a connection end knows nothing.
        """
        first = await peek(sock, _first, 1, float(self.config.head_timeout))
        if first is None:  # what TLS takes is not made for those who say nothing
            self.stats.handshakes["left"] += 1
            self.refuse(sock)
            return
        if first.isalpha():  # a method begins so, and no record of TLS (RFC 8446, section 5.1)
            self.stats.handshakes["failed"] += 1
            self.stats.refused[400] += 1
            await self.say(sock, refusal(BadMessage(_PLAIN)))
            return
        connection = _Connection(self)
        try:
            await self.serve(sock, connection, self.files.context)
        except OSError as error:
            self.stats.handshakes[_reason(error)] += 1
        else:
            self.stats.handshakes["ok"] += 1


class _Connection(TlsConnection):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.certificate: ClientCertificate | None = read_certificate(
            transport.get_extra_info("peercert")
        )
        super().connection_made(transport)


def _first(data: bytes) -> bytes | None:
    return data or None


def _reason(error: OSError) -> str:
    """Say in a word why a handshake failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "bad_certificate"
    return "failed" if isinstance(error, ssl.SSLError) else "left"
