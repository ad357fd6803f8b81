"""Downstream connections that were intercepted: the application believes it speaks to a server."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from sidecar.errors import BadMessage
from sidecar.http.target import host_name
from sidecar.listen.downstream import DownstreamConnection
from sidecar.listen.downstream_state import OVER
from sidecar.listen.tls_connection import TlsConnection

if TYPE_CHECKING:
    from sidecar.http.message import RequestHead
    from sidecar.listen.intercept.trust_observer import TrustObserver
    from sidecar.listen.listener import Listener

_AT_ONCE: Final = 1.0
"""Seconds. A client that checks a certificate after the handshake leaves by then, even from afar.
Connections that a pool has dialed in vain mostly rest longer."""


class OneCall(DownstreamConnection):
    """A plain connection to a forward proxy: one call, as the next may be for another host."""

    def on_request(self, head: RequestHead) -> None:
        """Serve the request, then close."""
        head.keep_alive = False
        super().on_request(head)

    def on_whole_request(self, head: RequestHead, body: bytes) -> None:
        """Serve the request, then close."""
        head.keep_alive = False
        super().on_whole_request(head, body)


class InterceptedTls(TlsConnection):
    """A connection inside TLS, whose client takes us for the host that it asked for."""

    def __init__(self, listener: Listener, observer: TrustObserver, asked_for: str | None) -> None:
        """*asked_for*: the name of which the client wanted a certificate, if it said one (SNI)."""
        super().__init__(listener)
        self._observer = observer
        self._asked_for = asked_for
        self._agreed = 0.0
        """When the handshake was over."""
        self._asked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: the handshake is over for us, but the client may still reject our certificate."""
        self._agreed = time.monotonic()
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Serve; a client that sends a request has accepted our certificate."""
        if not self._asked:
            self._asked = True
            self._observer.called()
        super().data_received(data)

    def on_request(self, head: RequestHead) -> None:
        """Serve the request, if it is for the host that the certificate was for."""
        self._check_host(head)
        super().on_request(head)

    def on_whole_request(self, head: RequestHead, body: bytes) -> None:
        """Serve the request, if it is for the host that the certificate was for."""
        self._check_host(head)
        super().on_whole_request(head, body)

    def _check_host(self, head: RequestHead) -> None:
        """RFC 9110, section 7.4: the connection is secured for one host only."""
        host = host_name(head.host).decode("latin-1").removesuffix(".")
        if host and self._asked_for not in (None, host):
            message = f"the connection was secured for {self._asked_for}, not for {host[:256]}"
            raise BadMessage(message, status=421, code="misdirected")

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the observer how it ended: a client that leaves at once may reject our CA."""
        if self._asked:
            self._observer.called()  # it trusted us up to now
        elif self.state not in OVER and time.monotonic() - self._agreed < _AT_ONCE:
            self._observer.left(exc)
        super().connection_lost(exc)

    def cut_off(self) -> None:
        """Close at once, without taking it for distrust of the application's."""
        self._begin_to_close()
        super().cut_off()
