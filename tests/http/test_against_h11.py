"""What we accept, h11 accepts too and reads the same way. We may refuse more than it does.

h11 reads a request as a server does, and a reply as a client does. Only the first message of a
stream is compared: what follows it is a matter of `test_splits`.
"""

from __future__ import annotations

import re
from collections import Counter

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.errors import BadMessage, BadReply
from sidecar.http.limits import HeadLimits
from sidecar.http.message import CLOSE_DELIMITED
from sidecar.http.request_parser import RequestParser
from sidecar.http.response_parser import ResponseParser
from sidecar.http.target import split_absolute
from tests.http.events import Log, Message, Pair, feed_all
from tests.http.mutations import near_replies, near_requests

JUSTIFIED = [
    # RFC 9112, section 2.2: empty lines before a message are ignored.
    rb"\w+: [\r\n]",
    # Section 3: a start line may be read leniently. Ours is where the same line, well spelled,
    # stands further on in the same read.
    rb"\w+: (?!\S+ \S+ HTTP/)(\S+) +(\S+) +\S+/1.*\1 \2 HTTP/1",
    # Section 6.3, rule 1: such a reply has no body, whatever its fields say. The transfer coding
    # is not sent on.
    rb"HEAD: HTTP/.*transfer-encoding:",
    rb"\w+: HTTP/.* (?:204|304).*transfer-encoding:",
]
"""What we accept and h11 does not: the method, and what the stream starts with."""


def justified(method: bytes, raw: bytes) -> bool:
    exchange = method + b": " + raw
    return any(re.match(b"(?is)" + pattern, exchange) for pattern in JUSTIFIED)


def h11_events(connection: h11.Connection, raw: bytes, closed: bool) -> tuple[list[Message], bool]:
    """The first message, with its interim replies, and whether h11 refused something."""
    messages: list[Message] = []
    try:
        connection.receive_data(raw)
        if closed:
            connection.receive_data(b"")
        while True:
            event = connection.next_event()
            if not isinstance(event, h11.Event) or isinstance(event, h11.ConnectionClosed):
                return messages, False
            if isinstance(event, h11.Data):
                messages[-1].body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                messages[-1].trailers = event.headers.raw_items()
                return messages, False
            else:
                messages.append(h11_head(event))
    except h11.RemoteProtocolError:
        return messages, True


def h11_head(event: h11.Event) -> Message:
    if isinstance(event, h11.Request):
        return Message((event.method, event.target), lowered(event.headers.raw_items()))
    assert isinstance(event, h11.InformationalResponse | h11.Response)
    return Message((event.status_code, bytes(event.reason)), lowered(event.headers.raw_items()))


def lowered(headers: list[Pair]) -> list[Pair]:
    """h11 lower-cases the transfer coding; all else is compared as it is."""
    return [
        (name, value.lower() if name.lower() == b"transfer-encoding" else value)
        for name, value in headers
    ]


def origin_form(method: bytes, target: bytes) -> bytes:
    """h11 leaves targets alone."""
    parts = split_absolute(target)
    if parts is None:
        return target
    if method == b"OPTIONS" and not target.endswith(parts[1]):
        return b"*"
    return parts[1]


def assert_same(ours: Message, theirs: Message, complete: bool) -> None:
    assert lowered(ours.headers) == theirs.headers
    if complete and not ours.upgrade:
        assert ours.body == theirs.body
        assert ours.trailers == theirs.trailers


def test_requests() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=1000)
    @given(near_requests())
    def compare(raw: bytes) -> None:
        log, refused = Log(), False
        try:
            feed_all(RequestParser(log, HeadLimits()), raw)
        except BadMessage:
            refused = True
        # A later request's refusal says nothing of the first, which is complete.
        refused = refused and not (log.messages and log.messages[0].trailers is not None)
        seen["accepted" if log.messages and not refused else "not accepted"] += 1
        if not log.messages or justified(b"GET", raw):
            return
        theirs, they_refused = h11_events(h11.Connection(h11.SERVER), raw, closed=False)
        assert theirs
        assert refused or not they_refused
        method, target = theirs[0].start
        assert isinstance(method, bytes)
        assert isinstance(target, bytes)
        assert log.messages[0].start[:2] == (method, origin_form(method, target))
        assert_same(log.messages[0], theirs[0], not refused)

    compare()
    assert seen["accepted"] > 100  # else there was little to compare
    assert seen["not accepted"] > 100


def client(method: bytes) -> h11.Connection:
    """An h11 client that has asked for something, and for a WebSocket."""
    connection = h11.Connection(h11.CLIENT)
    headers = [("Host", "a"), ("Connection", "Upgrade"), ("Upgrade", "websocket")]
    connection.send(h11.Request(method=method, target="/", headers=headers))
    connection.send(h11.EndOfMessage())
    return connection


def test_replies() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=1000)
    @given(near_replies(), st.sampled_from([b"GET", b"HEAD", b"POST"]))
    def compare(raw: bytes, method: bytes) -> None:
        log, refused = Log(), False
        parser = ResponseParser(log)
        parser.expect(method, True)
        try:
            parser.feed(raw)
        except BadReply:
            refused = True
        ours = log.messages
        closed = parser.end_of_stream() if not refused else False
        refused = refused and not (ours and ours[-1].trailers is not None)
        seen["accepted" if ours and not refused else "not accepted"] += 1
        if not ours or justified(method, raw):
            return
        assert closed == (ours[-1].framing == CLOSE_DELIMITED)
        theirs, they_refused = h11_events(client(method), raw, closed)
        assert refused or not they_refused
        assert refused or len(ours) == len(theirs)
        for mine, other in zip(ours, theirs, strict=False):
            assert mine.start == other.start
            assert_same(mine, other, not refused and not mine.upgrade)

    compare()
    assert seen["accepted"] > 100
    assert seen["not accepted"] > 100
