"""Connections of an application that thinks it speaks to somebody else."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from sidecar.errors import BadMessage
from sidecar.http.target import host_name
from sidecar.listen.downstream import DownstreamConnection
from sidecar.listen.downstream_state import OVER
from sidecar.proxy.backlog import unsent

if TYPE_CHECKING:
    from sidecar.http.message import RequestHead
    from sidecar.listen.intercept.trust_observer import Witness
    from sidecar.listen.listener import Listener

SHUTDOWN: Final = 120.0
"""Seconds that a client gets to take the end of its last reply, and to say that it has."""
_AT_ONCE: Final = 1.0
"""Seconds. A client that checks a certificate after the handshake leaves by then, even from afar.
Connections that a pool has dialed in vain mostly rest longer."""
_LOOK: Final = 0.05
"""Seconds between two looks at whether all was sent."""


class OneCall(DownstreamConnection):
    """To a forward proxy, in absolute form: the next request may be for somebody else's host."""

    def on_request(self, head: RequestHead) -> None:
        """Serve it, then close."""
        head.keep_alive = False
        super().on_request(head)

    def on_whole_request(self, head: RequestHead, body: bytes) -> None:
        """Serve it, then close."""
        head.keep_alive = False
        super().on_whole_request(head, body)


class TlsConnection(DownstreamConnection):
    """Inside TLS that we have terminated, where a side can't be closed by itself."""

    def __init__(self, listener: Listener, witness: Witness, asked_for: str | None) -> None:
        """*asked_for*: the name of which the client wanted a certificate, if it said one (SNI)."""
        super().__init__(listener)
        self._witness = witness
        self._asked_for = asked_for
        self._agreed = 0.0
        """When the handshake was over."""
        self._asked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is agreed on, as far as we know: the client may still dislike our certificate."""
        self._agreed = time.monotonic()
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Serve; a client that asks has taken our certificate."""
        if not self._asked:
            self._asked = True
            self._witness.called()
        super().data_received(data)

    def on_request(self, head: RequestHead) -> None:
        """Serve it, if it is for whom the certificate was."""
        self._check_host(head)
        super().on_request(head)

    def on_whole_request(self, head: RequestHead, body: bytes) -> None:
        """Serve it, if it is for whom the certificate was."""
        self._check_host(head)
        super().on_whole_request(head, body)

    def _check_host(self, head: RequestHead) -> None:
        """RFC 9110, section 7.4: the connection is secured for one host only."""
        host = host_name(head.host).decode("latin-1").removesuffix(".")
        if host and self._asked_for not in (None, host):
            message = f"the connection was secured for {self._asked_for}, not for {host[:256]}"
            raise BadMessage(message, status=421, code="misdirected")

    def eof_received(self) -> bool:
        """The application has left. A tunnel's other direction ends too: TLS has no half-close."""
        super().eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell how it ended: a client that leaves at once may not have liked our certificate."""
        if self._asked:
            self._witness.called()  # it trusted us up to now
        elif self.state not in OVER and time.monotonic() - self._agreed < _AT_ONCE:
            self._witness.left(exc)
        super().connection_lost(exc)

    def cut_off(self) -> None:
        """Close at once; that is not the application's wish."""
        self._begin_to_close()
        super().cut_off()

    def reset(self) -> None:
        """Break off, once all that was written is sent.

        Without TLS's own farewell: it would make what came look whole (RFC 8446, section 6.1).
        """
        self._begin_to_close()
        self._break_off(empty=False)

    def _linger(self) -> None:
        """TLS times that itself (`SHUTDOWN`): what it holds back is no part of our buffer."""

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
        """Say farewell once all is sent; the transport waits for the application's, for a while."""
        if self._begin_to_close():
            self.transport.close()
