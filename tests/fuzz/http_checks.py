"""What must hold of the pure HTTP parsers, whatever the bytes are."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from typing import Final

from sidecar.errors import BadMessage, BadReply
from sidecar.http.limits import HeadLimits
from sidecar.http.request_parser import RequestParser
from sidecar.http.response_parser import ResponseParser
from sidecar.http.target import host_name, normal_host, split_absolute
from sidecar.observe.trace import clean_tracestate, parse_traceparent
from tests.fuzz.cases import Case, Fault
from tests.fuzz.mutate import bytewise, cut
from tests.http.events import Log, Message, feed, feed_all

_REFUSED: Final = {400, 405, 408, 413, 414, 421, 431, 501, 505}
_HOST: Final = re.compile(
    rb"(?:\[[0-9a-f:.]+(?:%25[\w.~-]+)?\]|[a-z0-9\-._~!$&'()*+;=%]+)(?::\d*)?"
)
_HEX: Final = re.compile(rb"[0-9a-f]+")
_LENIENT: Final = re.compile(
    rb"[A-Za-z-]+(?: {2,}\S+ +| \S+ {2,})HTTP/|[A-Za-z-]+ +\S+ +(?!HTTP/)[A-Z]+/|(?:RTSP|ICE)/",
    re.I,
)
"""A start line that llhttp takes and we don't, unless it also stands there as it should."""
LIMITS: Final = HeadLimits(request_line=200, header=200, headers=600, header_count=12, body=100)


def lenient(data: bytes) -> bool:
    """Whether it matters for a start line what else is in the same read."""
    return bool(_LENIENT.search(data))


def ways(case: Case) -> list[list[bytes]]:
    """Segmentations: whole, so that the short way may take it, and such that the parser must."""
    data, random = case.data, case.random
    found = [[data[:1], data[1:]], cut(random, data), cut(random, data)]
    if len(data) < 300:
        found.append(bytewise(data))
    return [[data], *([piece for piece in pieces if piece] for pieces in found)]


def requests(case: Case) -> Hashable:
    """The same messages, or the same refusal, however they are split."""
    limits = LIMITS if case.options.get("limits") == "tight" else HeadLimits()
    if not case.data:
        return None
    first, *others = [_requests(pieces, limits) for pieces in ways(case)]
    for other in others:
        if other != first and not lenient(case.data) and not _sized(first, other):
            raise Fault("requests mean another thing when they are split", f"{first}\n{other}")
    messages, refused = first
    return len(messages), refused, messages[-1].framing > 0 if messages else None


def _requests(pieces: Sequence[bytes], limits: HeadLimits) -> tuple[list[Message], int]:
    log = Log()
    try:
        parser = RequestParser(log, limits)
        for piece in pieces:
            feed_all(parser, piece)
        if log.messages and _goes_on(log.messages[-1]) and not parser.begun:
            check_next_request(parser, log)
    except BadMessage as error:
        if error.status not in _REFUSED:
            raise Fault("a refusal of a status that is none", error.status) from error
        return log.messages, error.status
    return log.messages, 0


def _sized(*results: tuple[list[Message], int]) -> bool:
    """What is too long may be known to be malformed first, or the other way round."""
    return any(status in (413, 414, 431) for _, status in results) and all(
        status for _, status in results
    )


def replies(case: Case) -> Hashable:
    """The same reply, or none, however it is split."""
    if not case.data:
        return None
    method = case.options.get("method", "GET").encode()
    first, *others = [_reply(pieces, method) for pieces in ways(case)]
    for other in others:
        if other != first and not lenient(case.data):
            raise Fault("a reply means another thing when it is split", f"{first}\n{other}")
    messages, broken, closed = first
    return len(messages), broken, closed, messages[-1].framing if messages else None


def _reply(pieces: Sequence[bytes], method: bytes) -> tuple[list[Message], bool, bool]:
    """All messages that are complete, whether the last breaks, and whether a close completes it."""
    log = Log()
    try:
        parser = ResponseParser(log)
        parser.expect(method, False)
        for piece in pieces:
            feed(parser, piece)
        if log.messages and _goes_on(log.messages[-1]):
            check_next_reply(parser, log)
        closed = parser.end_of_stream()
    except BadReply:
        whole = [each for each in log.messages if each.trailers is not None or _interim(each)]
        return whole, all(map(_interim, whole)), False  # what follows a whole reply is not its
    return log.messages, False, closed


def _goes_on(message: Message) -> bool:
    """Whether another message may follow it on its connection."""
    return message.keep_alive and message.trailers is not None and not message.upgrade


def check_next_request(parser: RequestParser, log: Log) -> None:
    """What came before must not matter to the request that follows."""
    try:
        for piece in (b"GET /next HTTP/1.1\r\nHo", b"st: a\r\n\r\n"):
            feed_all(parser, piece)
    except BadMessage as error:
        raise Fault("a request spoils the connection for the next", error) from error
    if log.messages.pop() != Message((b"GET", b"/next", b"a"), [(b"Host", b"a")], trailers=[]):
        raise Fault("a request changes the next", log.messages)


def check_next_reply(parser: ResponseParser, log: Log) -> None:
    """The same for replies."""
    parser.expect(b"GET", False)
    try:
        for piece in (b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 2\r\n\r\nok"):
            feed(parser, piece)
    except BadReply as error:
        raise Fault("a reply spoils the connection for the next", error) from error
    headers = [(b"Content-Length", b"2")]
    if log.messages.pop() != Message((200, b"OK"), headers, 2, body=b"ok", trailers=[]):
        raise Fault("a reply changes the next", log.messages)


def _interim(message: Message) -> bool:
    status = message.start[0]
    return isinstance(status, int) and status < 200


def target(case: Case) -> Hashable:
    """Hosts come out in one form, and are hosts."""
    host = normal_host(case.data)
    stays = b".." in case.data or normal_host(host or b"") == host  # one dot at its end is taken
    if host is not None and not (stays and _HOST.fullmatch(host)):
        raise Fault("a host is normal that is none", host)
    if host is not None and not set(host_name(host)) <= set(host):
        raise Fault("a host's name is not a part of it", host)
    parts = split_absolute(case.data)
    if parts is not None and (b"@" in parts[0] or not parts[1].startswith(b"/")):
        raise Fault("a URL is split wrongly", parts)
    return host is None, parts is None


def trace(case: Case) -> Hashable:
    """A trace's ids are what they must be, and a state that was cleaned is clean."""
    parent = parse_traceparent(case.data)
    if parent is not None:
        trace_id, span_id, flags = parent
        sizes = len(trace_id), len(span_id)
        if sizes != (32, 16) or not _HEX.fullmatch(trace_id + span_id) or flags & ~3:
            raise Fault("a traceparent that is none", parent)
    state = clean_tracestate(case.data.split(b"\n"))
    if state is not None and clean_tracestate([state]) != state:
        raise Fault("a tracestate is not clean when it was cleaned", state)
    return parent is None, state is None
