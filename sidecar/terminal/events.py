"""Server-sent events of the admin API (WHATWG HTML, section 9.2), one after another."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final, NamedTuple

from sidecar.calls.ask import Unanswered, absent

_WITHIN: Final = 90.0
"""Seconds of silence after which the sidecar is taken to be gone. It says something sooner."""
_PIECE: Final = 1 << 16


class Event(NamedTuple):
    """One event; a comment has no kind."""

    kind: str
    data: Any


class Gone(Unanswered):
    """The stream has ended; the message says how."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reached=True)


def events(admin: str, path: str) -> Iterator[Event]:
    """Yield the events of GET *path*. Raise Unanswered if there are none to be had.

    It ends with Gone, since the sidecar's streams have no end of their own.
    """
    connection = http.client.HTTPConnection(admin, timeout=_WITHIN)
    with closing(connection):
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unanswered(absent(admin, error), reached=False) from error
        if reply.status != 200:
            raise Unanswered(_refused(admin, reply), reached=True)
        yield from _parsed(admin, reply)


def _parsed(admin: str, reply: http.client.HTTPResponse) -> Iterator[Event]:
    held = b""
    while True:
        try:
            data = reply.read1(_PIECE)
        except (OSError, http.client.HTTPException) as error:
            raise Gone(f"{admin} says nothing more: {error}") from None
        if not data:
            raise Gone(f"the sidecar at {admin} has closed the connection; it may have stopped")
        *whole, held = (held + data).split(b"\n\n")
        for block in whole:
            yield _event(block)


def _event(block: bytes) -> Event:
    fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
    data = fields.get(b"data")
    return Event(fields.get(b"event", b"").decode(), None if data is None else json.loads(data))


def _refused(admin: str, reply: http.client.HTTPResponse) -> str:
    try:
        message = json.loads(reply.read())["error"]["message"]
    except (OSError, ValueError, TypeError, KeyError):
        return f"{admin} answers with status {reply.status}; is it a sidecar of this version?"
    return f"{admin} says: {message}"
