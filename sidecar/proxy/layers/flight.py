"""One upstream call whose reply is written to many callers, each as fast as it reads.

The reply is kept from its start, so that who joins late gets all of it. A member knows how many
pieces it was given, and has no copy of them. The upstream call has a task of its own: no member is
needed for it, and it ends when the last one has left.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from sidecar.errors import CallerStalled, DeadlineExceeded, Truncated, forget_frames, told_again
from sidecar.proxy.detached import carry, charge
from sidecar.proxy.layers.patience import in_time
from sidecar.proxy.sink import NullSink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sidecar.errors import CallError
    from sidecar.http.message import Header, ResponseHead
    from sidecar.llm.failures import Failure
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.record import AttemptRecord
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request
    from sidecar.proxy.sink import Feeder, Sink

_AHEAD: Final = 64 * 1024
"""Bytes that every member is behind when reading upstream pauses."""


class Flight(NullSink):
    """The sink of the upstream call. Members join while it is `open`.

    *most*: bytes that are kept. *closed* is called once when nobody may join any more, *served*
    for each member that another's call has served to the end.
    """

    def __init__(
        self, most: int, closed: Callable[[], None], served: Callable[[Flight], None]
    ) -> None:
        self.head: ResponseHead | None = None
        self.failure: Failure | None = None
        self.attempt: AttemptRecord | None = None
        self.error: CallError | None = None
        self.ended = False
        self.trailers: Sequence[Header] = ()
        self.members: list[Member] = []
        self.total = 0
        """Bytes that came."""
        self.writable = True
        self.served = served
        self._most = most
        self._closed: Callable[[], None] | None = closed
        self._pieces: list[bytes] = []
        self._first = 0
        """Number of the first piece that is kept."""
        self._size = 0
        self.call: Call
        """The upstream call."""
        self._task: asyncio.Task[None]

    def __repr__(self) -> str:
        return f"<Flight with {len(self.members)} on board, {self._size} bytes kept>"

    # -- the upstream call --

    def start(self, inner: Layer, call: Call, request: Request) -> None:
        """Begin the upstream call: *call*, which is detached, in a task of its own."""
        self.call = call
        self._task = asyncio.create_task(self._carry(inner, call, request))

    async def _carry(self, inner: Layer, call: Call, request: Request) -> None:
        error = await carry(inner, call, request, self, self._answered)
        self.close()
        self._end(error)

    def _answered(self, reply: Reply) -> None:
        self.failure, self.attempt = reply.failure, reply.attempt

    def _end(self, error: CallError | None) -> None:
        """Tell the members that nothing follows. The reply may have told them already."""
        if error is None and not self.ended:
            error = Truncated("the shared reply ended before its end")
        if error is not None and self.error is None:
            self.break_off(error)
        for member in self.members:
            member.over()
        self.members = []  # they refer to this flight
        forget_frames(error)
        forget_frames(self.error)

    def close(self) -> None:
        """Let nobody join from now on."""
        closed, self._closed = self._closed, None
        if closed is not None:
            closed()

    # -- the members --

    def join(self, call: Call) -> Member:
        """Return a new member, which gets the reply from its start."""
        member = Member(self, call, pays=not self.members)
        self.members.append(member)
        if self.head is not None:
            member.begin()
        return member

    def leave(self, member: Member) -> None:
        """Forget *member*. Another one has the attempt in its record then."""
        if member not in self.members:
            return
        self.members.remove(member)
        if not self.members:
            self.close()
            self._task.cancel()
        else:
            if member.pays and not self.ended:
                self.members[0].pay()
            self.adjust()

    def left_for(self, position: int) -> list[bytes]:
        """Return the pieces from number *position* on."""
        return self._pieces[position - self._first :]

    @property
    def position(self) -> int:
        """The number of the next piece."""
        return self._first + len(self._pieces)

    def unsent(self) -> int:
        """Bytes that the member furthest ahead has not read."""
        return min((member.unsent() for member in self.members), default=0)

    # -- what the reply calls --

    def begin(
        self, head: ResponseHead, data: list[bytes], ended: bool, trailers: Sequence[Header]
    ) -> None:
        """Let the members begin."""
        self._take(data, ended, trailers)
        self.head = head
        for member in self.members[:]:
            member.begin()

    def write(self, data: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        """Write to every member that has room."""
        self._take(data, ended, trailers)
        for member in self.members[:]:
            member.pump()
        if self._size > self._most:
            self._trim()
        self.adjust()

    def break_off(self, error: CallError) -> None:
        """Break every member's reply off."""
        self.error = error
        for member in self.members[:]:
            member.break_off(told_again(error))

    # -- its buffer --

    def _take(self, data: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        self._pieces += data
        size = sum(map(len, data))
        self._size += size
        self.total += size
        self.ended, self.trailers = ended, trailers

    def _trim(self) -> None:
        """Drop what everybody has, and cut off who is too far behind."""
        self.close()
        for member in self.members[:]:
            if member.behind() > self._most:
                member.cut()
        kept = min((member.position for member in self.members), default=self.position)
        if kept > self._first:
            gone = self._pieces[: kept - self._first]
            del self._pieces[: kept - self._first]
            self._first = kept
            self._size -= sum(map(len, gone))

    def adjust(self) -> None:
        """Pause reading upstream while every member is behind."""
        behind = min((member.behind() for member in self.members), default=0)
        writable = behind <= _AHEAD or self.ended
        if writable != self.writable:
            self.writable = writable
            feeder: Feeder | None = self.feeder
            if feeder is not None:
                feeder.on_sink_writable(writable)


class Member:
    """What one caller gets of a flight. A Reply (`reply.py`)."""

    head: ResponseHead
    attempt: AttemptRecord | None = None
    """Only of the member that pays, so that tokens are counted once."""
    failure: Failure | None = None
    tunnel: asyncio.Transport | None = None
    error: CallError | None = None
    ended = False
    settled = False
    passed = 0

    def __init__(self, flight: Flight, call: Call, *, pays: bool) -> None:
        self.pays = pays
        self.position = 0
        self._flight = flight
        self._call = call
        self._sink: Sink | None = None
        self._begun: asyncio.Future[None] | None = None
        self._done: asyncio.Future[None] | None = None
        self._releases: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<Member at {self.position} of {self._flight!r}>"

    async def arrival(self) -> None:
        """Wait until the reply begins. Raise CallError if there is none."""
        try:
            if self._flight.head is None and self.error is None:
                self._begun = asyncio.get_running_loop().create_future()
                await in_time(self._call, self._begun)
        except BaseException:
            self.abandon()
            raise
        if self._flight.head is None and self.error is not None:
            self.abandon()
            raise self.error

    # -- what the flight calls --

    def begin(self) -> None:
        """The head is here."""
        flight = self._flight
        assert flight.head is not None
        self.head, self.failure = flight.head, flight.failure
        call, carried = self._call, flight.call
        call.final, call.operation = carried.final, carried.operation
        call.told += carried.told
        if self.pays:
            self.pay()
        _wake(self._begun)

    def pay(self) -> None:
        """Have the attempts in the record of this call from now on."""
        self.pays = True
        call, carried = self._call, self._flight.call
        charge(call, carried)
        self.attempt = self._flight.attempt or carried.attempt
        if call.reply is not None or self._flight.head is None:
            call.attempt = self.attempt

    def pump(self) -> None:
        """Write what is here, if there is room. The end of a reply waits for no room."""
        flight, sink = self._flight, self._sink
        if sink is None or not (sink.writable or flight.ended):
            return
        data = flight.left_for(self.position)
        if data or flight.ended:
            self._count(data)
            sink.write(data, flight.ended, flight.trailers)
            if flight.ended:
                self._end()

    def break_off(self, error: CallError) -> None:
        """The reply will never be complete."""
        if self.ended or self.error is not None:
            return
        self.error = error
        if self._sink is not None:
            self._sink.break_off(error)
        _wake(self._begun)
        _wake(self._done)

    def cut(self) -> None:
        """This caller reads too slowly for the others."""
        error = CallerStalled("the caller reads its reply more slowly than the others who share it")
        self.break_off(error)
        self._flight.leave(self)

    def over(self) -> None:
        """The upstream call is over."""
        if self._flight.head is None:  # and failed
            self._call.final = self._flight.call.final
            if self.pays:
                self.pay()

    def behind(self) -> int:
        """Bytes that it was not given yet."""
        return 0 if self._sink is None else self._flight.total - self.passed

    def unsent(self) -> int:
        """Bytes that its caller has not read."""
        return self.behind() + (0 if self._sink is None else self._sink.unsent())

    # -- a Reply --

    def write_into(self, sink: Sink) -> None:
        """Write what is here, and from now on what arrives."""
        flight = self._flight
        data = flight.left_for(self.position)
        self._count(data)
        sink.begin(self.head, data, flight.ended, flight.trailers)
        if flight.ended:
            self._end()
        elif self.error is not None:
            sink.break_off(self.error)
        else:
            self._sink, sink.feeder = sink, self

    def on_sink_writable(self, writable: bool) -> None:
        """Go on if there is room."""
        if writable:
            self.pump()
            self._flight.adjust()

    async def finish(self) -> None:
        """Wait for the end. Raise CallError if it breaks, or the call's time is over."""
        if not self.ended and self.error is None:
            self._done = asyncio.get_running_loop().create_future()
            try:
                await in_time(self._call, self._done)
            except DeadlineExceeded as error:
                self.break_off(error)
        if self.error is not None:
            raise self.error

    def on_settled(self, release: Callable[[], None]) -> None:
        """Call *release* when the caller has all of it, or left."""
        if self.settled:
            release()
        else:
            self._releases.append(release)

    def abandon(self) -> None:
        """Leave."""
        if not self.settled:
            self._settle()
            self._flight.leave(self)

    def half_close(self) -> None:
        """Do nothing: it is not a tunnel."""

    def _count(self, data: list[bytes]) -> None:
        self.position += len(data)
        self.passed += sum(map(len, data))

    def _end(self) -> None:
        self.ended = True
        if not self.pays:
            self._flight.served(self._flight)
        self._settle()
        _wake(self._done)

    def _settle(self) -> None:
        self.settled = True
        if self._sink is not None:
            self._sink.feeder = None
            self._sink = None
        releases, self._releases = self._releases, []
        for release in releases:
            release()


def _wake(turn: asyncio.Future[None] | None) -> None:
    if turn is not None and not turn.done():
        turn.set_result(None)
