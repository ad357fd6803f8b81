"""A downstream connection inside TLS, where one side can't be closed by itself."""

from __future__ import annotations

from typing import Final

from sidecar.listen.downstream import DownstreamConnection
from sidecar.proxy.exchange.backlog import unsent

SHUTDOWN: Final = 120.0
"""Seconds that a client gets to take the end of its last reply, and to say that it has."""
_LOOK: Final = 0.05
"""Seconds between two looks at whether all was sent."""
_LOOKS: Final = round(SHUTDOWN / _LOOK)
"""So many in a row may find that nothing was taken."""


class TlsConnection(DownstreamConnection):
    """TLS ends here: the rest of the sidecar sees plain bytes."""

    def eof_received(self) -> bool:
        """End: the application has left. TLS has no half-close, so a tunnel ends as well."""
        super().eof_received()
        return False

    def reset(self) -> None:
        """Break off, once all that was written is sent, or none of it is taken any more.

        No close_notify is sent: it would make a broken reply look whole (RFC 8446, section 6.1).
        """
        self._begin_to_close()
        self._break_off(unsent(self.transport), 0)

    def _linger(self) -> None:
        """Leave that to TLS (`SHUTDOWN`): what it holds back is not in our buffer."""

    def _break_off(self, before: int, looks: int) -> None:
        """Look whether all is sent. *before*: what was left at so many *looks* in a row."""
        if self.transport.is_closing():
            return
        left = unsent(self.transport)
        looks = looks + 1 if left == before else 0
        # Twice nothing: what TLS still held may have been sent on meanwhile.
        if looks > (_LOOKS if left else 1):
            self._reset_at_close()
            self.transport.abort()
        else:
            self._lingering = self._loop.call_later(_LOOK, self._break_off, left, looks)

    def _close(self) -> None:
        """Send close_notify once all is sent; the transport waits for the application's."""
        if self._begin_to_close():
            self.transport.close()
