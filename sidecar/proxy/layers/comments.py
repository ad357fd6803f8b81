"""Send comments while a stream says nothing yet, so that nothing in between gives the call up.

A comment is a line of a stream of events that every client skips (WHATWG HTML, 9.2.6). To send one
before an attempt has succeeded, the sidecar sends a head of its own, with status 200. A comment is
no part of any attempt's reply, so retries and fallbacks go on behind it; what fails in the end is
told in an error event.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from sidecar.errors import CallError, NoAnswer
from sidecar.http.fields import Fields
from sidecar.http.headers import REPLY_FIELDS
from sidecar.http.message import CHUNKED, ResponseHead
from sidecar.proxy.layers.readable import Operations
from sidecar.proxy.reply import Wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sidecar.http.message import Header
    from sidecar.llm.dialects import Api
    from sidecar.llm.failures import Failure
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.record import AttemptRecord
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request
    from sidecar.proxy.sink import Relay, Sink

COMMENT: Final = b": keep-alive\n\n"
_LINES: Final = b"\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache"
_OF_EVENTS: Final = frozenset(
    {"chat", "completions", "responses", "messages", "streamGenerateContent"}
)
"""Operations whose streams are events. Gemini's are an array unless `alt=sse` asks for events."""


class Comments:
    """Outside all attempts. A comment follows each *every* seconds of silence."""

    def __init__(self, inner: Layer, api: Api, every: float) -> None:
        self._inner = inner
        self._operations = Operations(api)
        self._every = every

    def __repr__(self) -> str:
        return f"<Comments every {self._every:g} s>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Return the reply; after *every* seconds without one, a reply that begins with comments.

        A caller that accepts other HTTP versions than 1.1 gets none: it knows no chunks.
        """
        if not self._applies(call, request):
            return await self._inner(call, request)
        task = asyncio.ensure_future(self._inner(call, request))
        try:
            await asyncio.wait((task,), timeout=self._every)
        except asyncio.CancelledError as error:
            task.cancel(*error.args)
            await asyncio.wait((task,))
            if not task.cancelled() and task.exception() is None:
                task.result().abandon()
            raise
        if not task.done():
            return Commented(task, self._every)
        reply = task.result()
        return Commented(task, self._every) if _is_stream(reply) else reply

    def _applies(self, call: Call, request: Request) -> bool:
        if not request.stream or call.head.minor == 0 or not call.body.complete:
            return False
        operation = self._operations.of(request)
        array = operation == "streamGenerateContent" and b"alt=sse" not in request.target
        return operation in _OF_EVENTS and not array


class Commented:
    """A reply that begins with comments, if the reply of *task* is late. A Reply (`reply.py`)."""

    tunnel: asyncio.Transport | None = None

    def __init__(self, task: asyncio.Future[Reply], every: float) -> None:
        self._task = task
        self._every = every
        self._sink: CommentSink | None = None
        self._releases: list[Callable[[], None]] = []
        reply = self._reply
        if reply is None:
            self.head = ResponseHead()
            self.head.status, self.head.reason, self.head.body = 200, b"OK", CHUNKED
            self.head.local = True
            self.head.fields = Fields(_LINES, REPLY_FIELDS)
        else:
            self.head = reply.head

    def __repr__(self) -> str:
        return f"<Commented {self._reply!r}>"

    @property
    def _reply(self) -> Reply | None:
        """The reply inside, once there is one."""
        task = self._task
        done = task.done() and not task.cancelled() and task.exception() is None
        return task.result() if done else None

    @property
    def attempt(self) -> AttemptRecord | None:
        """As the reply inside."""
        return None if self._reply is None else self._reply.attempt

    @property
    def failure(self) -> Failure | None:
        """As the reply inside."""
        return None if self._reply is None else self._reply.failure

    @property
    def ended(self) -> bool:
        """As the reply inside."""
        return self._reply is not None and self._reply.ended

    @property
    def settled(self) -> bool:
        """As the reply inside; and if there is none any more."""
        return self._task.done() if self._reply is None else self._reply.settled

    @property
    def passed(self) -> int:
        """As the reply inside. Comments do not count."""
        return 0 if self._reply is None else self._reply.passed

    def write_into(self, sink: Sink) -> None:
        """Write the reply, or the head and a comment."""
        self._sink = CommentSink(sink, self._every)
        if self._reply is not None:
            self._reply.write_into(self._sink)
        else:
            self._sink.begin(self.head, [COMMENT], False, ())

    async def finish(self) -> None:
        """Wait for the reply, and until it is complete. Raise CallError if there is none."""
        sink = self._sink
        assert sink is not None
        try:
            if self._task.done():
                await self._task.result().finish()
                return
            try:
                reply = await self._task
            except CallError as error:
                sink.break_off(error)
                raise
            for release in self._releases:
                reply.on_settled(release)
            self._releases.clear()
            if not _is_stream(reply):
                failed = _as_error(reply)
                reply.abandon()
                sink.break_off(failed)
                raise failed
            reply.write_into(sink)
            if not reply.ended:
                await reply.finish()
        finally:
            sink.stop()
            self._release()

    def on_settled(self, release: Callable[[], None]) -> None:
        """Call *release* when it settles; at once, if it already has."""
        if self._reply is not None:
            self._reply.on_settled(release)
        elif self._task.done():
            release()
        else:
            self._releases.append(release)

    def abandon(self) -> None:
        """End it at once."""
        if self._sink is not None:
            self._sink.stop()
        if self._reply is not None:
            self._reply.abandon()
        else:
            self._task.cancel()
        self._release()

    def half_close(self) -> None:
        """Do nothing: it is not a tunnel."""

    def _release(self) -> None:
        releases, self._releases = self._releases, []
        for release in releases:
            release()


class CommentSink(Wrapped):
    """Writes comments until the first byte of a body comes, which ends the silence."""

    def __init__(self, inner: Sink, every: float) -> None:
        super().__init__(inner)
        self._begun = self._spoken = False
        self._every = every
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def relay(self) -> Relay | None:
        """As the sink inside."""
        return self._inner.relay

    def begin(
        self, head: ResponseHead, data: list[bytes], ended: bool, trailers: Sequence[Header]
    ) -> None:
        """Write the head, or pass it over if ours was sent."""
        if self._begun:
            self.write(data, ended, trailers)
            return
        self._begun = True
        self._spoken = ended or any(piece is not COMMENT for piece in data)
        self._inner.begin(head, data, ended, trailers)
        if not self._spoken:
            self._timer = self._loop.call_later(self._every, self._comment)

    def write(self, data: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        """Write more of the body."""
        if data or ended:
            self._spoken = True
        self._inner.write(data, ended, trailers)

    def break_off(self, error: CallError) -> None:
        """End it in the middle."""
        self.stop()
        self._inner.break_off(error)

    def stop(self) -> None:
        """Write no more comments."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _comment(self) -> None:
        relay = self._inner.relay
        if self._spoken or (relay is not None and relay.passed):
            return
        if self._inner.writable:
            self._inner.write([COMMENT], False, ())
        self._timer = self._loop.call_later(self._every, self._comment)


def _is_stream(reply: Reply) -> bool:
    known = reply.head.fields.known
    events = b"event-stream" in known.get(b"content-type", b"")
    return reply.head.status == 200 and events and b"content-encoding" not in known


def _as_error(reply: Reply) -> CallError:
    """What a reply means that can't follow a head with status 200."""
    failure = reply.failure
    if reply.head.status < 400:
        return NoAnswer("the upstream sent no stream of events, which the call asked for")
    said = f": {failure.message or failure.code}" if failure is not None else ""
    error = NoAnswer(f"the upstream answered {reply.head.status}{said}")
    error.status = reply.head.status
    return error
