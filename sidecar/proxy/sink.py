"""Where a reply goes: to a caller, to nobody, or to whoever else wants it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sidecar.errors import CallError
    from sidecar.http.message import Header, ResponseHead


class Relay(Protocol):
    """The short way of a stream's chunks: from one connection to another, without a parser."""

    @property
    def last(self) -> float:
        """When it passed on the last chunk (monotonic seconds)."""

    @property
    def passed(self) -> int:
        """Bytes of data in the chunks that it passed on."""

    def take(self, data: bytes) -> bool:
        """Pass *data* on if it is exactly one chunk, framing included. False if it is not."""


class Feeder(Protocol):
    """What writes into a sink, and can wait."""

    def on_sink_writable(self, writable: bool) -> None:
        """The sink filled up, or has room again."""


class Sink(Protocol):
    """Takes one reply: interim heads, the head with the first of the body, the rest, its end.

    `ended` with data means that nothing follows; a reply that breaks ends with `break_off` instead.
    One that is abandoned ends with neither: its reader has gone.
    """

    feeder: Feeder | None
    """Who is told when `writable` changes."""

    @property
    def writable(self) -> bool:
        """False while what was written waits for the reader."""

    @property
    def relay(self) -> Relay | None:
        """There once the reply has begun, where chunks may go on as they come."""

    def interim(self, head: ResponseHead) -> None:
        """A 1xx, before `begin`."""

    def begin(
        self, head: ResponseHead, data: list[bytes], ended: bool, trailers: Sequence[Header]
    ) -> None:
        """The head, with what is here of the body. From here on nothing can be retried."""

    def write(self, data: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        """More of the body, or its end, or both."""

    def break_off(self, error: CallError) -> None:
        """The rest will never come. What was written must not be taken for a whole reply."""

    def half_close(self) -> bool:
        """No more comes, but what the reader sends still counts. False if that can't be said."""

    def unsent(self) -> int:
        """Bytes that were written and that the reader has not taken."""


class NullSink:
    """Takes everything at once and keeps nothing."""

    feeder: Feeder | None = None
    writable = True
    relay: Relay | None = None

    def __repr__(self) -> str:
        return "<NullSink>"

    def interim(self, head: ResponseHead) -> None:
        """Nobody reads it."""

    def begin(
        self, head: ResponseHead, data: list[bytes], ended: bool, trailers: Sequence[Header]
    ) -> None:
        """Nobody reads it."""

    def write(self, data: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        """Nobody reads it."""

    def break_off(self, error: CallError) -> None:
        """Nobody reads it."""

    def half_close(self) -> bool:
        """Nobody sends anything."""
        return False

    def unsent(self) -> int:
        """Nothing waits."""
        return 0
