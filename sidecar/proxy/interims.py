"""The 1xx replies before a reply (RFC 9110, section 15.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.errors import BadReply
from sidecar.http.headers import response_lines, status_line
from sidecar.proxy.commit import HELD

if TYPE_CHECKING:
    from sidecar.http.message import ResponseHead
    from sidecar.proxy.call import Call

_MOST: Final = 100
"""How many a reply may have before its head: they are passed on without back-pressure."""


class Interims:
    """Those of one attempt: handed on, or held until it is known whether its reply is the one."""

    def __init__(self, call: Call) -> None:
        self.held = b""
        """To be sent before the reply's head."""
        self._call = call
        self._count = 0

    def take(self, head: ResponseHead) -> None:
        """Take one. A 100 is dropped: we answered that ourselves. Raise BadReply for too many."""
        self._count += 1
        if self._count > _MOST:
            raise BadReply("too many interim replies")
        if head.status == 100 or self._call.head.minor == 0:
            return
        interim = status_line(head) + response_lines(head) + b"\r\n\r\n"
        if self._call.hold_interims:
            if len(self.held) + len(interim) <= HELD:
                self.held += interim
        elif not self._call.downstream.transport.is_closing():
            self._call.downstream.transport.write(interim)
