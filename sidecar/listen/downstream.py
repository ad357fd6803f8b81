"""One connection of the application's: requests in, replies out, in order.

What it does now is its `state` (`downstream_state.py`). Besides there is `_unparsed`: bytes behind
the request that is served, since a pipelined request stays bytes until its turn. Reading is paused
while there are such bytes, and while `_blocks` holds a reason.
"""

from __future__ import annotations

import asyncio
import select
import socket
import struct
import time
from itertools import count
from typing import TYPE_CHECKING, Final, cast

from sidecar.errors import BadMessage, CallError, CutOff, LocalFailure, Overloaded
from sidecar.http.message import Header, RequestHead
from sidecar.http.request_parser import RequestParser
from sidecar.listen.downstream_state import (
    BODY,
    CALL,
    CLOSED,
    CLOSING,
    DEAF,
    IDLE,
    OVER,
    REFUSED,
    DownstreamState,
)
from sidecar.listen.refusal import refusal
from sidecar.observe.shortage import note
from sidecar.proxy.body.body import BODY_FULL, NO_MEMORY, UPSTREAM_FULL, RequestBody
from sidecar.proxy.call import Call
from sidecar.proxy.client_sink import ClientSink
from sidecar.proxy.serve import drop, serve
from sidecar.upstream.connect.descriptors import FULL, may_accept

if TYPE_CHECKING:
    from sidecar.config.model import Trust
    from sidecar.listen.listener import Listener
    from sidecar.policy.access import Access
    from sidecar.policy.client_certificates import ClientCertificate

_HANG_UP: Final = getattr(select, "POLLRDHUP", 0)
"""Linux tells of the other side's end even while there is input unread; others of a reset only."""
_PIPELINED: Final = 4
"""Reading is paused: bytes of the next request wait until the call before it is over."""
_LINGER: Final = 2.0
"""Seconds that the application gets to close its side, once it has our last reply."""
_STALLED: Final = 60
"""How many times as long it may take nothing of what it was sent."""
_numbers: Final = count(1)
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER that makes close(2) send a reset."""


class DownstreamConnection(asyncio.Protocol):
    """Made for each accepted connection."""

    certificate: ClientCertificate | None = None
    """What its client's certificate says, where it has shown one."""
    _number = 0
    """Given when somebody asks for it."""

    def __init__(self, listener: Listener) -> None:
        self.state: DownstreamState = IDLE
        self.listener = listener
        self.transport = cast("asyncio.Transport", None)
        self.peer = ""
        self.writable = True
        self.since = time.monotonic()
        """Since when it rests, or since when its head is being received."""
        self.calls = 0
        self._parser = cast("RequestParser", None)
        """There from the moment that the connection is made; a TLS handshake may fail before."""
        self._loop = listener.loop
        self._call: Call | None = None
        self._task: asyncio.Task[None] | None = None
        self._arrived: Call | None = None
        """A call whose head has just been parsed: it begins when its read is parsed to the end."""
        self._body: RequestBody | None = None
        self._unparsed = b""
        self._at = 0
        """How much of `_unparsed` was parsed."""
        self._blocks = 0
        self._ended = False
        """The application sends no more."""
        self._left = False
        """The task of the call was cancelled, because the application has left."""
        self._lingering: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        serves = f", {self._call!r}" if self._call is not None else ""
        return f"<DownstreamConnection {self.state.name} from {self.peer}{serves}>"

    # -- asyncio.Protocol --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register with the listener."""
        self.transport = cast("asyncio.Transport", transport)
        self._parser = RequestParser(self, self.listener.limits)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else "unix"
        if not self.listener.opened(self):
            self._turn_away(Overloaded("too many connections", code="too_many_connections"))
            self._close()
        elif not may_accept(transport.get_extra_info("socket").fileno()):
            note("listener", FULL)
            self._turn_away(LocalFailure(FULL))
            self._go(CLOSING)
            self.transport.close()  # at once: what lingers would keep its descriptor

    def _turn_away(self, error: CallError) -> None:
        self.listener.stats.refused[error.status] += 1
        self.transport.write(refusal(error))

    def data_received(self, data: bytes) -> None:
        """Parse one request, or more of the body that is being received; keep what lies behind."""
        if self.state in DEAF:
            return  # lingering: what still comes is read, so that our reply is not lost
        if self._unparsed or not self._may_parse():
            self._unparsed = self._unparsed[self._at :] + data
            self._at = 0
            self.pause_reading(_PIPELINED)
        else:
            self._parse(data, 0)

    def eof_received(self) -> bool:
        """The application sends no more: it has left, or it has closed its side only."""
        self._ended = True
        call = self._call
        if call is not None and self._tunnelling(call):
            return True
        if self._serves_half_closed(call):
            return True
        self._leave()
        self._linger()  # the transport closes once all is sent, and waits for that without end
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The application has left: whatever is done for it ends now."""
        self._go(CLOSED)
        if self._lingering is not None:
            self._lingering.cancel()
        self._leave()
        self._unparsed = b""
        self._body = None
        self._parser.close()
        self.listener.closed(self)

    def pause_writing(self) -> None:
        """The application takes its reply slower than it comes."""
        self.writable = False
        feeder = self._call.sink.feeder if self._call is not None else None
        if feeder is not None:
            feeder.on_sink_writable(False)

    def resume_writing(self) -> None:
        """The application has caught up."""
        self.writable = True
        if self._call is None:
            self._next()
        elif self._call.sink.feeder is not None:
            self._call.sink.feeder.on_sink_writable(True)

    # -- the parser's sink --

    def on_request(self, head: RequestHead) -> None:
        """A head is complete: it is a call, whose body follows."""
        self._body = RequestBody(self, self.listener.current.body_memory, length=head.body)
        self._arrived = Call(self, head, self._body)

    def on_body(self, data: bytes) -> None:
        """Some of its body."""
        if self._body is not None:
            self._body.feed(data)

    def on_request_end(self, trailers: list[Header]) -> None:
        """All of it."""
        if self._body is not None:
            self._body.finish(trailers)
            self._body = None
            if self.state is BODY:
                self._go(CALL)

    def on_whole_request(self, head: RequestHead, body: bytes) -> None:
        """Head and body at once."""
        memory = self.listener.current.body_memory
        self._arrived = Call(self, head, RequestBody(self, memory, body))

    # -- what the life of a call asks for --

    def pause_reading(self, reason: int) -> None:
        """Take no more from the application, until every reason was taken back."""
        if not self._blocks and self.state not in OVER:
            self.transport.pause_reading()
        self._blocks |= reason

    def resume_reading(self, reason: int) -> None:
        """Take *reason* back."""
        if self._blocks & reason:
            self._blocks &= ~reason
            if not self._blocks and self.state not in OVER:
                self.transport.resume_reading()

    def finished(self, call: Call, now: float) -> None:
        """Go on to the next call, or close."""
        self._call = self._task = None
        self.since = now
        if self.state in OVER:
            return
        if call.close or self.state is REFUSED:
            self._close()
        else:
            self._go(IDLE)
            self._next()

    # -- state of our own --

    @property
    def idle(self) -> bool:
        """Whether nothing is being served or received."""
        return self._call is None and not self._unparsed and not self._parser.begun

    @property
    def receiving_head(self) -> bool:
        """Whether a head is due: it has begun, or nothing ever came on this connection."""
        due = self._parser.begun or not self.calls
        return due and self.state is IDLE

    @property
    def connection(self) -> str:
        """What tells it from all other connections of this process."""
        if not self._number:
            self._number = next(_numbers)
        return f"connection {self._number}"

    @property
    def direct(self) -> bool:
        """Whether the caller addresses the sidecar itself, and not another host through it."""
        return self.listener.config.mode == "reverse"

    @property
    def trust(self) -> Trust:
        """Which of the caller's words about itself are taken."""
        return self.listener.config.trust

    @property
    def access(self) -> Access | None:
        """Who may call; None: anybody."""
        return self.listener.access

    def denied(self, reason: str) -> None:
        """Count a call that was not let in."""
        self.listener.stats.denied[reason] += 1

    @property
    def call(self) -> Call | None:
        """The call being served."""
        return self._call

    @property
    def stray_pauses(self) -> int:
        """Reasons of a pause whose owner is gone, so that nothing would end it: a bug of ours.

        A pipelined request owns one, a held body owns one, and a call whose body streams owns that
        of a full send buffer upstream.
        """
        if not self._blocks or self.state in DEAF:
            return 0
        owned = _PIPELINED if self._unparsed else 0
        if self._body is not None:
            owned |= BODY_FULL | NO_MEMORY
        if self._call is not None and self._call.body.streamed:
            owned |= UPSTREAM_FULL
        return self._blocks & ~owned

    def close_when_idle(self) -> None:
        """Close now, or after the call that is being served."""
        if self._call is not None:
            self._call.close = True
        if self.idle:
            self._close()

    def cut_off(self) -> None:
        """Close at once, whatever is being served."""
        if self._call is not None:
            self._call.error = CutOff("the sidecar stopped")
        self.transport.abort()

    def time_out_head(self) -> None:
        """The head took too long. A client that never sent a byte expects no reply."""
        if self._parser.begun:
            self._refuse(
                BadMessage(
                    "the request head did not arrive in time", status=408, code="request_timeout"
                )
            )
        else:
            self._close()

    def check_gone(self) -> None:
        """Notice that the application left while reading is paused, where no event tells."""
        if not self._blocks or self.state in OVER:
            return
        sock = self.transport.get_extra_info("socket")
        if sock is None:  # TLS that was lost, of which we are told in the next step
            return
        poll = select.poll()
        asked = _HANG_UP if self.listener.config.half_close == "leave" else 0
        poll.register(sock.fileno(), asked)
        if poll.poll(0) and not (self._call and self._tunnelling(self._call, quiet=True)):
            self.transport.abort()

    def _go(self, state: DownstreamState) -> None:
        self.state = self.state.to(state)

    def _begin_to_close(self) -> bool:
        """False where that was begun before."""
        if self.state in OVER:
            return False
        self._go(CLOSING)
        return True

    def _may_parse(self) -> bool:
        """Whether bytes that come belong to the call being served, or begin the next one now.

        While the replies so far are not taken, no request is read: a client that only asks must
        not fill our memory.
        """
        return self._body is not None or (self._call is None and self.writable)

    def _parse(self, data: bytes, at: int) -> None:
        """Parse *data* from *at* to the end of one request, and begin the call that it is."""
        begun = self._parser.begun
        try:
            end = self._parser.feed(data, at)
        except BadMessage as error:
            self._arrived = None
            self._refuse(error)
            return
        call, self._arrived = self._arrived, None
        if call is not None:
            self._begin(call)
        elif not begun and self._parser.begun:
            self.since = time.monotonic()
        if end < len(data):
            self._unparsed, self._at = data, end
            self.pause_reading(_PIPELINED)
        elif self._unparsed:
            self._unparsed = b""
            self.resume_reading(_PIPELINED)

    def _next(self) -> None:
        """Go on with what came behind the last call, if anything did."""
        if self._unparsed and self.state not in OVER and self._may_parse():
            self._parse(self._unparsed, self._at)
        if self._ended and self._call is None and self.state not in OVER:
            self._close()

    def _begin(self, call: Call) -> None:
        """Serve *call*, in a task of its own."""
        self._go(CALL if self._body is None else BODY)
        self._call = call
        self._left = False
        call.sink = ClientSink(call, self)
        self.calls += 1
        listener = self.listener
        if listener.current.draining or listener.retired:
            call.close = True
        life = serve(call, listener.current.snapshot, listener.recorder)
        # The loop's own `create_task` numbers tasks in their names: 1 % of what a call costs.
        self._task = asyncio.Task(life, loop=self._loop, name="call")

    def _refuse(self, error: BadMessage) -> None:
        """The bytes that came can't be forwarded, nor anything after them.

        Where they belong to a call that is being served, that call tells its caller.
        """
        self.listener.stats.refused[error.status] += 1
        self._go(REFUSED)
        self._unparsed = b""
        body, self._body = self._body, None
        if body is not None and self._call is not None:
            body.fail(error)
        else:
            if body is not None:
                body.free()
            self.transport.write(refusal(error, self._parser.unfinished))
            self._close()

    def _serves_half_closed(self, call: Call | None) -> bool:
        """Whether a client that has closed its side waits for a reply to a whole request.

        RFC 9112, section 9.6, has it close only behind the reply; by default it has left.
        """
        if self.listener.config.half_close == "leave" or self._body is not None:
            return False
        return call is not None or bool(self._unparsed)

    def _tunnelling(self, call: Call, *, quiet: bool = False) -> bool:
        reply = call.reply
        if reply is None or reply.tunnel is None:
            return False
        if not quiet:
            reply.half_close()
        return True

    def _leave(self) -> None:
        if self._task is None or self._call is None:
            return
        if not self._left:  # once: what a call does at its end must not be interrupted
            self._left = True
            self._task.cancel()
        if self._call.reply is not None:
            # Not left to the task, which runs later: until then the endpoint's next bytes would be
            # written to a transport that is closed.
            self._call.reply.abandon()
        if not self._call.begun:
            drop(self._call, self.listener.recorder)
            self._call = self._task = None

    def reset(self) -> None:
        """Close with a reset, once all that was written is sent."""
        self._begin_to_close()
        self._reset_at_close()
        self.transport.close()
        self._linger()

    def _reset_at_close(self) -> None:
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def _close(self) -> None:
        """Close in stages (RFC 9112, section 9.6).

        First our side, once all is sent; then, when the application has closed its own, the rest.
        Closing both at once with input unread would make the kernel send a reset, which can eat a
        reply that is still on its way.
        """
        if not self._begin_to_close():
            return
        if self._ended:  # nothing can be unread behind the end of the input
            self.transport.close()
        else:
            self.transport.write_eof()
            if self._blocks:
                self._blocks = 0
                self.transport.resume_reading()
        self._linger()

    def _linger(self) -> None:
        """Close, by force if need be, a while after all was sent or nothing more is taken."""
        self._linger_on(self.transport.get_write_buffer_size(), _STALLED)

    def _linger_on(self, backlog: int, patience: int) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
        self._lingering = self._loop.call_later(_LINGER, self._lingered, backlog, patience)

    def _lingered(self, before: int, patience: int) -> None:
        """Wait on while the application still takes what it was sent, however slowly."""
        backlog = self.transport.get_write_buffer_size()
        if backlog and backlog < before:
            self._linger_on(backlog, _STALLED)
        elif backlog and patience:
            self._linger_on(backlog, patience - 1)
        else:
            self.transport.abort()
