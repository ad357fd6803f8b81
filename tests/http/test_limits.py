"""Sizes: what is just small enough passes, one more byte is refused, and nothing piles up."""

from collections.abc import Callable, Iterable, Iterator

import pytest

from sidecar.errors import BadMessage, BadReply
from sidecar.http.limits import REPLY_LIMITS, HeadLimits
from sidecar.http.request_parser import RequestParser
from sidecar.http.response_parser import ResponseParser
from tests.http.events import Log, bytewise, reply, requests

LIMITS = HeadLimits(request_line=100, header=60, headers=150, header_count=5)
WIDE = HeadLimits()


def line(size: int) -> bytes:
    start = b"GET /", b" HTTP/1.1\r\n"
    return start[0] + b"a" * (size - len(b"".join(start))) + start[1]


def header(size: int, name: bytes = b"X") -> bytes:
    return name + b": " + b"a" * (size - len(name) - 4) + b"\r\n"


HOST = header(10, b"Host")

LARGEST: dict[str, tuple[Callable[[int], bytes], int]] = {
    "request line": (lambda extra: line(100 + extra) + HOST, 414),
    "header": (lambda extra: line(20) + header(60 + extra) + HOST, 431),
    "headers": (lambda extra: line(20) + HOST + header(60) * 2 + header(20 + extra), 431),
    "header count": (lambda extra: line(20) + HOST + header(10) * (4 + extra), 431),
}


def outcome(reads: Iterable[bytes], limits: HeadLimits) -> int:
    try:
        (request,) = requests(*reads, limits=limits)
    except BadMessage as error:
        return error.status
    assert request.trailers == []
    return 200


@pytest.mark.parametrize(("head", "status"), LARGEST.values(), ids=LARGEST.keys())
def test_limits_are_exact_however_a_head_is_split(
    head: Callable[[int], bytes], status: int
) -> None:
    for extra, expected in ((0, 200), (1, status)):
        data = head(extra) + b"\r\n"
        for reads in ([data], bytewise(data), [data[:-1], data[-1:]], [data[:30], data[30:]]):
            assert outcome(reads, LIMITS) == expected


def dribble(start: bytes, more: bytes, size: int) -> Iterator[bytes]:
    yield start
    while True:
        yield more * (size // len(more))


ENDLESS = {
    "method": (b"", b"G", 501),
    "target": (b"GET /", b"a", 414),
    "target of a URL": (b"GET http://", b"a", 414),
    "spaces": (b"GET ", b" ", 414),
    "name": (b"GET / HTTP/1.1\r\n", b"a", 431),
    "value": (b"GET / HTTP/1.1\r\nA: ", b"a", 431),
    "white space": (b"GET / HTTP/1.1\r\nA: ", b" ", 431),
    "headers": (b"GET / HTTP/1.1\r\n", b"a:b\r\n", 431),
    "other headers": (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X-Some-Name: b\r\n", 431),
}


def fed_until_refused(
    feed: Callable[[bytes], object], reads: Iterator[bytes]
) -> tuple[int, BadMessage | BadReply]:
    """How many bytes were taken, and the refusal."""
    taken = 0
    while True:
        read = next(reads)
        taken += len(read)
        try:
            feed(read)
        except (BadMessage, BadReply) as error:
            return taken, error


@pytest.mark.parametrize(("start", "more", "status"), ENDLESS.values(), ids=ENDLESS.keys())
@pytest.mark.parametrize("size", [20, 1000, 65536])
def test_a_head_without_an_end(start: bytes, more: bytes, status: int, size: int) -> None:
    parser = RequestParser(Log(), WIDE)
    taken, error = fed_until_refused(parser.feed, dribble(start, more, size))
    assert error.status == status
    assert taken <= WIDE.request_line + WIDE.headers + 2 * size


def test_a_large_first_header_is_no_long_request_line() -> None:
    head = line(500) + header(WIDE.header, b"Cookie")
    assert outcome([head[:-1], head[-1:] + HOST + b"\r\n"], WIDE) == 200


def test_a_read_that_begins_a_head_counts_when_it_ends() -> None:
    head = line(50) + HOST + b"X: " + b"a" * 200_000
    assert outcome([head, b"\r\n\r\n"], WIDE) == 431


@pytest.mark.timeout(20)
def test_a_million_repeats_in_one_read_take_no_quadratic_time() -> None:
    assert outcome([line(50) + HOST + b"a:b\r\n" * 1_000_000], WIDE) == 431


@pytest.mark.timeout(20)
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_pipelined_requests_take_no_quadratic_time(version: bytes) -> None:
    one = b"GET /a HTTP/%b\r\nHost: a\r\nConnection: keep-alive\r\n\r\n" % version
    assert len(requests(one * 30_000)) == 30_000


CHUNKED = line(30) + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
REPLY = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FLOODS = {
    "one extension": (b"1;", b"a"),
    "one value": (b"1;a=", b"a"),
    "one quoted value": (b'1;a="', b"a"),
    "extensions": (b"", b"1;" + b"a" * 100 + b"\r\nx\r\n"),
    "leading zeros": (b"", b"0"),
    "a trailer": (b"0\r\nA: ", b"a"),
    "trailers": (b"0\r\n", b"A: b\r\n"),
}


@pytest.mark.parametrize(("start", "more"), FLOODS.values(), ids=FLOODS.keys())
@pytest.mark.parametrize("size", [110, 1000, 20_000])
@pytest.mark.parametrize("kind", ["request", "reply"])
def test_framing_that_carries_no_data(start: bytes, more: bytes, size: int, kind: str) -> None:
    if kind == "request":
        parser: RequestParser | ResponseParser = RequestParser(Log(), WIDE)
        parser.feed(CHUNKED)
    else:
        parser = ResponseParser(Log())
        parser.expect(b"GET", False)
        parser.feed(REPLY)
    taken, error = fed_until_refused(parser.feed, dribble(start, more, size))
    assert error.status == (400 if kind == "request" else 502)
    assert taken < 32 * 1024 + 2 * size


def test_many_small_chunks_are_no_flood() -> None:
    (request,) = requests(CHUNKED, *[b"1;a=b\r\nx\r\n"] * 20_000, b"0\r\n\r\n")
    assert len(request.body) == 20_000


def test_one_chunk_over_many_reads_is_no_flood() -> None:
    (request,) = requests(CHUNKED, b"4e20\r\n", *[b"x"] * 20_000, b"\r\n0\r\n\r\n")
    assert len(request.body) == 20_000


@pytest.mark.parametrize("framing", [b"Content-Length: 11", b"Transfer-Encoding: chunked"])
def test_a_body_over_its_limit(framing: bytes) -> None:
    limits = HeadLimits(body=10)
    head = line(30) + HOST + framing + b"\r\n\r\n"
    body = b"5\r\n12345\r\n6\r\n678901\r\n0\r\n\r\n"
    assert outcome([head + body], limits) == 413
    assert outcome([head, *bytewise(body)], limits) == 413


def test_bodies_of_their_limit_one_after_the_other() -> None:
    fixed = line(30) + HOST + b"Content-Length: 10\r\n\r\n1234567890"
    chunked = CHUNKED + b"5\r\n12345\r\n5\r\n67890\r\n0\r\n\r\n"
    seen = requests((fixed + chunked) * 3, limits=HeadLimits(body=10))
    assert [request.body for request in seen] == [b"1234567890"] * 6


ENDLESS_REPLIES = {
    "reason": (b"HTTP/1.1 200 ", b"a"),
    "name": (b"HTTP/1.1 200 OK\r\n", b"a"),
    "value": (b"HTTP/1.1 200 OK\r\nA: ", b"a"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"a:b\r\n"),
}


@pytest.mark.parametrize(("start", "more"), ENDLESS_REPLIES.values(), ids=ENDLESS_REPLIES.keys())
@pytest.mark.parametrize("size", [1000, 65536])
def test_a_reply_whose_head_does_not_end(start: bytes, more: bytes, size: int) -> None:
    parser = ResponseParser(Log())
    parser.expect(b"GET", False)
    taken, _ = fed_until_refused(parser.feed, dribble(start, more, size))
    assert taken <= REPLY_LIMITS.headers + 2 * size


@pytest.mark.parametrize(
    "head",
    [
        header(REPLY_LIMITS.header + 1),
        header(REPLY_LIMITS.header) * 4 + header(10),
        header(10) * (REPLY_LIMITS.header_count + 1),
    ],
)
def test_a_reply_whose_head_is_too_large(head: bytes) -> None:
    start = b"HTTP/1.1 204 No Content\r\n"
    with pytest.raises(BadReply):
        reply(start + head + b"\r\n")
    with pytest.raises(BadReply):
        reply(start + head, b"\r\n")


def test_a_reply_whose_reason_is_too_long() -> None:
    with pytest.raises(BadReply):
        reply(b"HTTP/1.1 204 " + b"a" * (REPLY_LIMITS.header + 1) + b"\r\n\r\n")
