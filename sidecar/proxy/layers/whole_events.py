"""The sink of a stream that goes on from one exchange to the next, and its reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sidecar.proxy.reply import reframed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecar.errors import CallError
    from sidecar.http.message import Header, ResponseHead
    from sidecar.proxy.sink import Feeder, Relay, Sink


class Taker(Protocol):
    """What knows which events the caller gets."""

    ended: bool
    """Whether nothing follows what was taken."""

    def take(self, data: list[bytes], ended: bool) -> list[bytes]:
        """Return what of *data* goes to the caller. *ended*: that was all of an exchange."""

    def settle(self) -> None:
        """The end was written."""


class WholeEvents:
    """Passes on whole events of one exchange after the other, as one body. A Sink (`sink.py`)."""

    relay: Relay | None = None

    def __init__(self, inner: Sink, reply: Taker) -> None:
        self._inner = inner
        self._reply: Taker | None = reply
        self._begun = False

    def __repr__(self) -> str:
        return f"<whole events before {self._inner!r}>"

    @property
    def writable(self) -> bool:
        """As the sink inside."""
        return self._inner.writable

    @property
    def feeder(self) -> Feeder | None:
        """As the sink inside."""
        return self._inner.feeder

    @feeder.setter
    def feeder(self, feeder: Feeder | None) -> None:
        self._inner.feeder = feeder

    def interim(self, head: ResponseHead) -> None:
        """Write a 1xx before the body; one of an exchange that continues it is dropped."""
        if not self._begun:
            self._inner.interim(head)

    def begin(
        self, head: ResponseHead, data: list[bytes], ended: bool, trailers: Sequence[Header]
    ) -> None:
        """Begin, at the head of the first exchange."""
        if self._begun:
            self.write(data, ended, trailers)
            return
        self._begun = True
        given, over = self._take(data, ended)
        self._inner.begin(reframed(head, given, over), given, over, ())
        self._settle(over)

    def write(self, data: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        """Write the events that are complete."""
        given, over = self._take(data, ended)
        if given or over:
            self._inner.write(given, over, ())
        self._settle(over)

    def break_off(self, error: CallError) -> None:
        """Do nothing: it may go on."""

    def half_close(self) -> bool:
        """Do nothing: it is not a tunnel."""
        return False

    def unsent(self) -> int:
        """As the sink inside."""
        return self._inner.unsent()

    def end(self) -> None:
        """Nothing is missing."""
        self._inner.write([], True, ())

    def fail(self, error: CallError) -> None:
        """What is missing can't be had."""
        self._inner.break_off(error)

    def let_go(self) -> None:
        """The reply is over; it and its last exchange refer to this."""
        self._reply = None

    def _take(self, data: list[bytes], ended: bool) -> tuple[list[bytes], bool]:
        reply = self._reply
        return ([], False) if reply is None else (reply.take(data, ended), reply.ended)

    def _settle(self, over: bool) -> None:
        if over and self._reply is not None:
            self._reply.settle()
