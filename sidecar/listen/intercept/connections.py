"""Downstream connections that were intercepted: the application believes it speaks to a server."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from sidecar.errors import BadMessage
from sidecar.http.target import host_name
from sidecar.listen.downstream import DownstreamConnection
from sidecar.listen.downstream_state import OVER
from sidecar.proxy.exchange.backlog import unsent

if TYPE_CHECKING:
    from sidecar.http.message import RequestHead
    from sidecar.listen.intercept.trust_observer import TrustObserver
    from sidecar.listen.listener import Listener

SHUTDOWN: Final = 120.0
"""Seconds that a client gets to take the end of its last reply, and to say that it has."""
_AT_ONCE: Final = 1.0
"""Seconds. A client that checks a certificate after the handshake leaves by then, even from afar.
Connections that a pool has dialed in vain mostly rest longer."""
_LOOK: Final = 0.05
"""Seconds between two looks at whether all was sent."""


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


class TlsConnection(DownstreamConnection):
    """A connection inside TLS that we terminate, where one side can't be closed by itself."""

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

    def eof_received(self) -> bool:
        """End: the application has left. TLS has no half-close, so a tunnel ends as well."""
        super().eof_received()
        return False

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

    def reset(self) -> None:
        """Break off, once all that was written is sent.

        No close_notify is sent: it would make a broken reply look whole (RFC 8446, section 6.1).
        """
        self._begin_to_close()
        self._break_off(empty=False)

    def _linger(self) -> None:
        """Leave that to TLS (`SHUTDOWN`): what it holds back is not in our buffer."""

    def _break_off(self, *, empty: bool) -> None:
        if self.transport.is_closing():
            return
        left = unsent(self.transport)
        if empty and not left:  # twice: what TLS still held may have been sent on meanwhile
            self._reset_at_close()
            self.transport.abort()
        else:
            self._lingering = self._loop.call_later(_LOOK, self._look, not left)

    def _look(self, empty: bool) -> None:
        self._break_off(empty=empty)

    def _close(self) -> None:
        """Send close_notify once all is sent; the transport waits for the application's."""
        if self._begin_to_close():
            self.transport.close()
