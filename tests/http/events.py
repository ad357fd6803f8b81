"""What the parsers said, as values that compare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sidecar.http.chunked import plain_chunk
from sidecar.http.limits import HeadLimits
from sidecar.http.message import Header, RequestHead, ResponseHead
from sidecar.http.request_parser import RequestParser
from sidecar.http.response_parser import ResponseParser

Pair = tuple[bytes, bytes]


@dataclass
class Message:
    """A request or a reply. `trailers` is None until it is complete."""

    start: tuple[object, ...]
    """(method, target, host) or (status, reason)."""
    headers: list[Pair]
    framing: int = 0
    keep_alive: bool = True
    upgrade: bool = False
    body: bytes = b""
    trailers: list[Pair] | None = None
    minor: int = 1


def pairs(headers: Iterable[Header]) -> list[Pair]:
    return [(name, value) for _, name, value in headers]


@dataclass
class Log:
    """A sink of either kind."""

    messages: list[Message] = field(default_factory=list)
    heads: list[RequestHead | ResponseHead] = field(default_factory=list)

    def on_request(self, head: RequestHead) -> None:
        start = (head.method, head.target, head.host)
        self._add(head, start, head.upgrade)

    def on_response(self, head: ResponseHead) -> None:
        self._add(head, (head.status, head.reason), head.status == 101)

    on_interim = on_response

    def _add(
        self, head: RequestHead | ResponseHead, start: tuple[object, ...], upgrade: bool
    ) -> None:
        self.heads.append(head)
        message = Message(start, pairs(head.fields.headers()), head.body, head.keep_alive, upgrade)
        message.minor = head.minor
        self.messages.append(message)

    def on_body(self, data: bytes) -> None:
        assert data, "an empty piece of a body"
        self.messages[-1].body += data

    def on_request_end(self, trailers: list[Header]) -> None:
        assert self.messages[-1].trailers is None
        self.messages[-1].trailers = pairs(trailers)

    on_response_end = on_request_end

    def on_whole_request(self, head: RequestHead, body: bytes) -> None:
        self.on_request(head)
        if body:
            self.on_body(body)
        self.on_request_end([])

    def on_whole_response(self, head: ResponseHead, body: bytes) -> None:
        self.on_response(head)
        if body:
            self.on_body(body)
        self.on_response_end([])


def requests(*reads: bytes, limits: HeadLimits | None = None) -> list[Message]:
    """What one connection's *reads* hold."""
    log = Log()
    parser = RequestParser(log, limits or HeadLimits())
    for read in reads:
        feed_all(parser, read)
    return log.messages


def feed_all(parser: RequestParser, read: bytes) -> None:
    """All requests of *read*, as the connection feeds them: each when the one before is over."""
    at = 0
    while at < len(read):
        before, at = at, parser.feed(read, at)
        assert before < at <= len(read)


def feed(parser: ResponseParser, read: bytes) -> None:
    """As the connection does it: a plain chunk takes the short way."""
    begins, size = plain_chunk(len(read))
    if parser.between_chunks and read.startswith(begins) and read.endswith(b"\r\n"):
        parser.sink.on_body(read[-2 - size : -2])
    else:
        parser.feed(read)


def reply(
    *reads: bytes, method: bytes = b"GET", upgrade: bool = False, closed: bool = False
) -> list[Message]:
    """The reply to one *method* request, with its interim replies; *closed* by the server."""
    log = Log()
    parser = ResponseParser(log)
    parser.expect(method, upgrade)
    for read in reads:
        feed(parser, read)
    if closed:
        assert parser.end_of_stream()
    return log.messages


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]
