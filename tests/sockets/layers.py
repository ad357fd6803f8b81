"""Layers that tests put around a route's stack: one for each thing that a layer can do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from sidecar.errors import CallError
from sidecar.http.message import Header, ResponseHead
from sidecar.llm.failures import Failure
from sidecar.proxy.call import Call
from sidecar.proxy.detached import detach
from sidecar.proxy.layers.layer import Layer
from sidecar.proxy.local import LocalReply
from sidecar.proxy.record import AttemptRecord
from sidecar.proxy.reply import Reply, Tap, Transform, observed, transformed
from sidecar.proxy.request import Request
from sidecar.proxy.sink import NullSink, Sink
from tests.sockets.stage import Stage


class LayerStage(Stage):
    """A stage whose route has *layer* around its stack."""

    def __init__(self, layer: Callable[[Layer], Layer], **sections: Any) -> None:
        super().__init__(**sections)
        self._layer = layer

    async def apply(self) -> None:
        await super().apply()
        for rule in self.serving.snapshot.router.rules:
            rule.route = rule.route._replace(stack=self._layer(rule.route.stack))


class Answers:
    """By itself, without an upstream."""

    def __init__(self, status: int, lines: bytes, body: bytes) -> None:
        self._reply = (status, lines, body)

    async def __call__(self, call: Call, request: Request) -> Reply:
        return LocalReply(call, *self._reply)


class Rewrites:
    """What is asked of the upstream."""

    def __init__(self, inner: Layer, **changes: Any) -> None:
        self._inner = inner
        self._changes = changes

    async def __call__(self, call: Call, request: Request) -> Reply:
        return await self._inner(call, request.replace(**self._changes))


class Seen:
    """A tap that remembers what it saw."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ends: list[str] = []

    def data(self, data: bytes) -> None:
        self.pieces.append(data)

    def end(self, error: CallError | None) -> None:
        self.ends.append(error.code if error else "complete")


class Observes:
    """Replies, and leaves them as they are."""

    def __init__(self, inner: Layer, tap: Tap) -> None:
        self._inner = inner
        self._tap = tap

    async def __call__(self, call: Call, request: Request) -> Reply:
        return observed(await self._inner(call, request), self._tap)


class Shouts:
    """A transform: in capitals, but for a word that it waits for, split as it may be."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        data = self._held + data
        at = data.rfind(b" ") + 1
        self._held = data[at:]
        return data[:at].upper()

    def end(self) -> bytes:
        return self._held.upper() + b"!"


class Transforms:
    """Replies."""

    def __init__(self, inner: Layer, transform: Callable[[], Transform]) -> None:
        self._inner = inner
        self._transform = transform

    async def __call__(self, call: Call, request: Request) -> Reply:
        return transformed(await self._inner(call, request), self._transform())


class Shares:
    """One upstream call among all who ask while it is under way."""

    def __init__(self, inner: Layer) -> None:
        self._inner = inner
        self.flight: _Flight | None = None

    async def __call__(self, call: Call, request: Request) -> Reply:
        if self.flight is None or self.flight.over:
            self.flight = _Flight()
            self.flight.begins(self._inner, *detach(call, request))
        return await self.flight.joins()


class _Flight(NullSink):
    """Collects one reply, and hands it on to all who have joined."""

    def __init__(self) -> None:
        self.over = False
        self.head: ResponseHead | None = None
        self.pieces: list[bytes] = []
        self.error: CallError | None = None
        self.complete = False
        self.members: list[_Share] = []
        self._begun = asyncio.Event()
        self._task: asyncio.Task[None]

    def begins(self, inner: Layer, call: Call, request: Request) -> None:
        self._task = asyncio.create_task(self._carries(inner, call, request))

    async def _carries(self, inner: Layer, call: Call, request: Request) -> None:
        reply = None
        try:
            reply = await inner(call, request)
            reply.write_into(self)
            await reply.finish()
        except CallError as error:
            self.error = error
        finally:
            if reply is not None:
                reply.abandon()
            call.body.free()
            self.over = True
            self._begun.set()
            for member in self.members:
                member.settles()

    async def joins(self) -> Reply:
        await self._begun.wait()
        if self.head is None:
            assert self.error is not None
            raise self.error
        member = _Share(self, self.head)
        self.members.append(member)
        return member

    def leaves(self, member: _Share) -> None:
        self.members.remove(member)
        if not self.members:
            self._task.cancel()

    def begin(
        self, head: ResponseHead, data: list[bytes], ended: bool, trailers: Sequence[Header]
    ) -> None:
        self.head = head
        self._begun.set()
        self.write(data, ended, trailers)

    def write(self, data: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        self.pieces += data
        self.complete = ended
        for member in self.members:
            member.passes(data, ended)

    def break_off(self, error: CallError) -> None:
        self.error = error
        for member in self.members:
            member.breaks(error)


class _Share:
    """What one of them gets."""

    attempt: AttemptRecord | None = None
    failure: Failure | None = None
    tunnel: asyncio.Transport | None = None

    def __init__(self, flight: _Flight, head: ResponseHead) -> None:
        self._flight = flight
        self.head = head
        self.passed = 0
        self.settled = False
        self._sink: Sink | None = None
        self._done = asyncio.Event()
        self._releases: list[Callable[[], None]] = []

    @property
    def ended(self) -> bool:
        return self._flight.complete

    def write_into(self, sink: Sink) -> None:
        self._sink = sink
        sink.begin(self.head, list(self._flight.pieces), self._flight.complete, ())
        if self.ended:
            self.settles()

    def passes(self, data: list[bytes], ended: bool) -> None:
        if self._sink is not None:
            self._sink.write(data, ended, ())

    def breaks(self, error: CallError) -> None:
        if self._sink is not None:
            self._sink.break_off(error)

    async def finish(self) -> None:
        await self._done.wait()
        if self._flight.error is not None:
            raise self._flight.error

    def on_settled(self, release: Callable[[], None]) -> None:
        self._releases.append(release)

    def settles(self) -> None:
        if not self.settled:
            self.settled = True
            self._sink = None
            self._done.set()
            for release in self._releases:
                release()

    def abandon(self) -> None:
        if not self.settled:
            self.settles()
            self._flight.leaves(self)

    def half_close(self) -> None:
        pass
