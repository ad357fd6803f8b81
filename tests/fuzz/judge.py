"""h11 as the judge: what requests and replies are, read strictly and independently of us."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import h11

_LONGEST: Final = 1 << 20
"""Bytes of an incomplete head that h11 takes before it gives up."""


@dataclass
class Reply:
    """A reply, as far as it came."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    interim: list[int] = field(default_factory=list)
    complete: bool = False
    rest: bytes = b""
    """What follows it."""
    broken: str = ""
    """Why it is none, or breaks off."""

    def __getitem__(self, name: bytes) -> bytes:
        """The first value of header *name*, or nothing."""
        return next((value for key, value in self.headers if key == name), b"")


def read_reply(data: bytes, method: bytes = b"GET", *, closed: bool) -> Reply:
    """The reply to a *method* request that *data* begins with; *closed*: nothing follows it."""
    connection = h11.Connection(h11.CLIENT, _LONGEST)
    headers = [("host", "a"), ("connection", "upgrade"), ("upgrade", "websocket")]
    connection.send(h11.Request(method=method, target="/", headers=headers))
    connection.send(h11.EndOfMessage())
    reply = Reply()
    try:
        if data:  # nothing would mean the end
            connection.receive_data(data)
        if closed and data:
            connection.receive_data(b"")
        _follow(connection, reply)
    except h11.RemoteProtocolError as error:
        reply.broken = str(error)
    return reply


def _follow(connection: h11.Connection, reply: Reply) -> None:
    while True:
        event = connection.next_event()
        if isinstance(event, h11.InformationalResponse) and event.status_code != 101:
            reply.interim.append(event.status_code)
        elif isinstance(event, h11.Response | h11.InformationalResponse):
            reply.status, reply.headers = event.status_code, list(event.headers)
        elif isinstance(event, h11.Data):
            reply.body += bytes(event.data)
        else:
            switched = event is h11.PAUSED and reply.status == 101
            reply.complete = switched or isinstance(event, h11.EndOfMessage)
            reply.rest = connection.trailing_data[0] if reply.complete else b""
            return


@dataclass
class Requests:
    """What a server's h11 makes of the bytes of a connection."""

    methods: list[bytes] = field(default_factory=list)
    """Of all requests whose head came, in order."""
    complete: int = 0
    """How many of them came to their end."""
    refused: bool = False
    """Whether something in them is malformed."""
    last: bool = False
    """Whether the connection ends with the last of them."""


def read_requests(data: bytes) -> Requests:
    """The requests that *data* holds."""
    connection = h11.Connection(h11.SERVER, _LONGEST)
    found = Requests()
    try:
        if data:
            connection.receive_data(data)
        while _next_request(connection, found):
            pass
    except h11.RemoteProtocolError:
        found.refused = True
    return found


def _next_request(connection: h11.Connection, found: Requests) -> bool:
    """Take one event. Whether there may be more."""
    event = connection.next_event()
    if isinstance(event, h11.Request):
        found.methods.append(event.method)
    elif isinstance(event, h11.EndOfMessage):
        found.complete += 1
        return _answer(connection, found)
    return isinstance(event, h11.Request | h11.Data)


def _answer(connection: h11.Connection, found: Requests) -> bool:
    """Pretend to refuse the request, so that the next one is read. Whether there may be one."""
    connection.send(h11.Response(status_code=400, headers=[("content-length", "0")]))
    connection.send(h11.EndOfMessage())
    if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
        found.last = True
        return False
    connection.start_next_cycle()
    return True
