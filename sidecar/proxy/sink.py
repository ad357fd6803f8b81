"""Where a reply is written: a caller, or nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sidecar.errors import CallError
    from sidecar.http.message import Header, ResponseHead


class Relay(Protocol):
    """The fast path for a stream's chunks: between two connections, without a parser."""

    @property
    def last(self) -> float:
        """When it passed on the last chunk (monotonic seconds)."""

    @property
    def passed(self) -> int:
        """Bytes of data in the chunks that it passed on."""

    def take(self, data: bytes) -> bool:
        """Pass *data* on if it is exactly one chunk with its framing; otherwise return False."""


class Feeder(Protocol):
    """Writes into a sink, and can pause."""

    def on_sink_writable(self, writable: bool) -> None:
        """The sink is full, or has room again."""


class Sink(Protocol):
    """Takes one reply: interim heads, the head with the first of the body, the rest, its end.

    `ended` means that nothing follows. A reply that breaks ends with `break_off` instead. An
    abandoned one ends with neither, because its reader has left.
    """

    feeder: Feeder | None
    """Called when `writable` changes."""

    @property
    def writable(self) -> bool:
        """False while the reader is behind."""

    @property
    def relay(self) -> Relay | None:
        """Set once the reply has begun, if chunks may be passed on unchanged."""

    def interim(self, head: ResponseHead) -> None:
        """Write a 1xx, before `begin`."""

    def begin(
        self, head: ResponseHead, data: list[bytes], ended: bool, trailers: Sequence[Header]
    ) -> None:
        """Write the head and the first bytes of the body. No retry is possible from here on."""

    def write(self, data: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        """Write more of the body, or its end, or both."""

    def break_off(self, error: CallError) -> None:
        """End an incomplete reply so that it does not look complete."""

    def half_close(self) -> bool:
        """End our direction of a tunnel. Return False if the transport can't half-close."""

    def unsent(self) -> int:
        """Bytes that were written and that the reader has not read."""


class NullSink:
    """Accepts everything at once and discards it."""

    feeder: Feeder | None = None
    writable = True
    relay: Relay | None = None

    def __repr__(self) -> str:
        return "<NullSink>"

    def interim(self, head: ResponseHead) -> None:
        """Discard it."""

    def begin(
        self, head: ResponseHead, data: list[bytes], ended: bool, trailers: Sequence[Header]
    ) -> None:
        """Discard it."""

    def write(self, data: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        """Discard it."""

    def break_off(self, error: CallError) -> None:
        """Discard it."""

    def half_close(self) -> bool:
        """Do nothing: it is not a tunnel."""
        return False

    def unsent(self) -> int:
        """Return 0: nothing waits."""
        return 0
