"""The 1xx replies before a reply (RFC 9110, section 15.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.errors import BadReply
from sidecar.http.limits import REPLY_LIMITS

if TYPE_CHECKING:
    from sidecar.http.message import ResponseHead
    from sidecar.proxy.sink import Sink

_MOST: Final = 100
"""Interim replies of one reply; they are passed on without back-pressure."""
_ROOM: Final = REPLY_LIMITS.headers
"""Bytes of all their header lines together: as much as one head."""


class Interims:
    """Passes on the interim replies of one attempt, or keeps them until it has won."""

    def __init__(self, sink: Sink, *, holds: bool) -> None:
        self._sink = sink
        self._holds = holds
        self._held: list[ResponseHead] = []
        self._count = 0
        self._size = 0

    def take(self, head: ResponseHead) -> None:
        """Handle one. A 100 is dropped: the sidecar sent its own. Raise BadReply for too many."""
        self._count += 1
        self._size += len(head.fields.block)
        if self._count > _MOST or self._size > _ROOM:
            raise BadReply("the server sent too many interim replies")
        if head.status == 100:
            return
        if not self._holds:
            self._sink.interim(head)
        else:
            self._held.append(head)

    def release(self, sink: Sink) -> None:
        """The attempt has won: pass on what was kept."""
        for head in self._held:
            sink.interim(head)
