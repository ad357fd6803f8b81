"""What a layer returns: a reply that has begun to arrive, to be written into one sink.

`Exchange` is a reply with an endpoint behind it, `LocalReply` one that the sidecar makes. A layer
may return the inner reply, or wrap it in a `Tap` that sees its body or a `Transform` that changes
it. A reply without either costs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from sidecar.errors import CallerLeft
from sidecar.http.fields import Fields
from sidecar.http.headers import REPLY_FIELDS
from sidecar.http.message import CHUNKED, Header, ResponseHead

if TYPE_CHECKING:
    import asyncio

    from sidecar.errors import CallError
    from sidecar.llm.failures import Failure
    from sidecar.proxy.record import AttemptRecord
    from sidecar.proxy.sink import Feeder, Relay, Sink


class Reply(Protocol):
    """Settles exactly once: when it is complete, has broken, or was abandoned."""

    @property
    def head(self) -> ResponseHead:
        """Status and header fields."""

    @property
    def attempt(self) -> AttemptRecord | None:
        """The attempt that it answers; None if there was none."""

    @property
    def failure(self) -> Failure | None:
        """What kind of failure it is, where it is one and was read."""

    @property
    def ended(self) -> bool:
        """Whether it is complete, and written if there is a sink."""

    @property
    def settled(self) -> bool:
        """Whether it has ended and released what it held."""

    @property
    def tunnel(self) -> asyncio.Transport | None:
        """The server's transport after a protocol switch; None if it is not a tunnel."""

    @property
    def passed(self) -> int:
        """Bytes of the body written so far."""

    def write_into(self, sink: Sink) -> None:
        """Write what is here, and from now on what arrives, until it ends or breaks."""

    async def finish(self) -> None:
        """Wait until it is complete. Raise CallError if it breaks, after telling the sink."""

    def on_settled(self, release: Callable[[], None]) -> None:
        """Call *release* when it settles; at once, if it already has."""

    def abandon(self) -> None:
        """End it at once because its reader has left. The sink is not called again."""

    def half_close(self) -> None:
        """The caller's side of a tunnel has ended."""


class Tap(Protocol):
    """Sees the data of a reply's body, never its framing. It must not block or raise."""

    def data(self, data: bytes) -> None:
        """Take *data* of the body, which was written to the caller."""

    def end(self, error: CallError | None) -> None:
        """The body has ended; *error* None: it is complete. Called exactly once."""


class Transform(Protocol):
    """Changes a reply's body. It gets the bytes of the body, split anywhere."""

    def feed(self, data: bytes) -> bytes:
        """Return what to send instead of *data*; may be empty."""

    def end(self) -> bytes:
        """Return what to send last, after the body is complete."""


def observed(reply: Reply, tap: Tap) -> Reply:
    """Return *reply* with *tap*, which sees its body."""

    def wrap(sink: Sink) -> Sink:
        tapped = _TapSink(sink, tap)
        reply.on_settled(lambda: None if reply.ended else tapped.left())
        return tapped

    return _Through(reply, wrap)


def transformed(reply: Reply, transform: Transform) -> Reply:
    """Return *reply* with *transform*. A reply without a body or with a coding stays as it is."""
    head = reply.head
    if head.body == 0 or head.status == 101 or b"content-encoding" in head.fields:
        return reply
    return _Through(reply, lambda sink: _TransformSink(sink, transform))


class _Through:
    """*inner*, written through another sink."""

    def __init__(self, inner: Reply, wrap: Callable[[Sink], Sink]) -> None:
        self._inner = inner
        self._wrap = wrap
        self.head = inner.head
        self.failure = inner.failure
        self.finish = inner.finish
        self.on_settled = inner.on_settled
        self.abandon = inner.abandon
        self.half_close = inner.half_close

    def __repr__(self) -> str:
        return f"<through {self._inner!r}>"

    @property
    def attempt(self) -> AttemptRecord | None:
        return self._inner.attempt

    @property
    def ended(self) -> bool:
        return self._inner.ended

    @property
    def settled(self) -> bool:
        return self._inner.settled

    @property
    def tunnel(self) -> asyncio.Transport | None:
        return self._inner.tunnel

    @property
    def passed(self) -> int:
        return self._inner.passed

    def write_into(self, sink: Sink) -> None:
        self._inner.write_into(self._wrap(sink))


class Wrapped:
    """A sink that passes everything on to another."""

    def __init__(self, inner: Sink) -> None:
        self._inner = inner
        self.interim = inner.interim
        self.half_close = inner.half_close
        self.unsent = inner.unsent

    def __repr__(self) -> str:
        return f"<{type(self).__name__} before {self._inner!r}>"

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


class _TapSink(Wrapped):
    """Writes to the caller first, so that a tap does not delay it."""

    def __init__(self, inner: Sink, tap: Tap) -> None:
        super().__init__(inner)
        self._tap = tap
        self._over = False
        self.relay: Relay | None = None

    def begin(
        self, head: ResponseHead, data: list[bytes], ended: bool, trailers: Sequence[Header]
    ) -> None:
        self._inner.begin(head, data, ended, trailers)
        relay = self._inner.relay
        if relay is not None:
            self.relay = _TapRelay(relay, self._tap)
        self._show(data, ended)

    def write(self, data: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        self._inner.write(data, ended, trailers)
        self._show(data, ended)

    def break_off(self, error: CallError) -> None:
        self._inner.break_off(error)
        self._end(error)

    def left(self) -> None:
        """The reply ended incomplete. Without an error, it was abandoned."""
        self._end(CallerLeft("the reply was abandoned"))

    def _show(self, data: list[bytes], ended: bool) -> None:
        for piece in data:
            self._tap.data(piece)
        if ended:
            self._end(None)

    def _end(self, error: CallError | None) -> None:
        if not self._over:
            self._over = True
            self._tap.end(error)


class _TapRelay:
    """Shows the tap the data of each chunk that the inner relay has passed on."""

    __slots__ = ("_relay", "_see", "_take")

    def __init__(self, relay: Relay, tap: Tap) -> None:
        self._relay = relay
        self._take = relay.take
        self._see = tap.data

    @property
    def last(self) -> float:
        return self._relay.last

    @property
    def passed(self) -> int:
        return self._relay.passed

    def take(self, data: bytes) -> bool:
        if not self._take(data):
            return False
        self._see(data[data.find(b"\r\n") + 2 : -2])
        return True


class _TransformSink(Wrapped):
    """The length changes, and so does the framing: one whole body, or chunks."""

    relay: Relay | None = None

    def __init__(self, inner: Sink, transform: Transform) -> None:
        super().__init__(inner)
        self._transform = transform

    def begin(
        self, head: ResponseHead, data: list[bytes], ended: bool, trailers: Sequence[Header]
    ) -> None:
        changed = self._changed(data, ended)
        self._inner.begin(reframed(head, changed, ended and not trailers), changed, ended, trailers)

    def write(self, data: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        changed = self._changed(data, ended)
        if changed or ended:
            self._inner.write(changed, ended, trailers)

    def break_off(self, error: CallError) -> None:
        self._inner.break_off(error)

    def _changed(self, data: list[bytes], ended: bool) -> list[bytes]:
        changed = [self._transform.feed(piece) for piece in data]
        if ended:
            changed.append(self._transform.end())
        return [piece for piece in changed if piece]


def reframed(head: ResponseHead, body: list[bytes], whole: bool) -> ResponseHead:
    """Return *head* for a body of another length: that of *body* if that is the *whole*."""
    new = ResponseHead()
    new.__dict__.update(head.__dict__)
    lines = head.fields.without({b"content-length", b"transfer-encoding"})
    if whole:
        new.body = sum(map(len, body))
        lines += b"\r\nContent-Length: %d" % new.body
    else:
        new.body = CHUNKED
    new.fields = Fields(lines, REPLY_FIELDS)
    return new
