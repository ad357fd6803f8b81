"""What the short way takes, the parser takes too, with the same result."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.errors import BadReply
from sidecar.http.headers import request_lines, response_lines
from sidecar.http.limits import HeadLimits
from sidecar.http.message import Head, RequestHead, ResponseHead
from sidecar.http.request_parser import RequestParser
from sidecar.http.response_parser import ResponseParser
from sidecar.http.whole import plain_chunk, whole_request, whole_response
from tests.http.events import Log, Message, feed
from tests.http.messages import exchanges, requests_built
from tests.http.mutations import near_replies, near_requests

LIMITS = HeadLimits()
PLAIN = [
    *(b"Content-Type: application/json", b"x-b:text/plain ", b"X-Empty:", b"X-A: b  c"),
    *(b"Connection: Keep-Alive", b"Keep-Alive: timeout=5", b"Proxy-Connection: keep-alive"),
    *(b"Proxy-Connection: close", b"proxy-connection: Close, x"),
    *(b"Authorization: Bearer a", b"X-Request-Id: 1", b"traceparent: 00-1", b"x-latin: \xe9"),
]


@st.composite
def plain(draw: st.DrawFn, starts: list[bytes], fixed: list[bytes]) -> bytes:
    """A message that is nearly always plain."""
    lines = [*fixed, *draw(st.lists(st.sampled_from(PLAIN), unique=True, max_size=5))]
    body = draw(st.sampled_from([b"", b"hello", b"\r\n\r\n", b"Content-Length: 1\r\n\r\n"]))
    if draw(st.integers(0, 9)):
        size = b"%d" % (len(body) + draw(st.sampled_from([0] * 8 + [1])))
        name = draw(st.sampled_from([*[b"Content-Length: "] * 5, b"content-length: ", b"A:"]))
        lines.append(name + draw(st.sampled_from([b"", b"0"])) + size)
    head = b"\r\n".join([draw(st.sampled_from(starts)), *draw(st.permutations(lines))])
    return head + b"\r\n\r\n" + body


PLAIN_REQUESTS = plain([b"POST /v1/x?a=/b HTTP/1.1", b"HEAD / HTTP/1.1"], [b"Host: A:80"])
PLAIN_REPLIES = plain([b"HTTP/1.1 200 OK", b"HTTP/1.1 529 "], [])
OTHER_REQUESTS = near_requests() | requests_built().map(lambda built: built[0])
OTHER_REPLIES = near_replies() | exchanges().map(lambda exchange: exchange.raw)


def assert_same(head: Head, body: bytes, parsed: Log) -> Head:
    """*head* and *body* are what a parser says that got the same bytes in two reads."""
    whole = Log()
    if isinstance(head, RequestHead):
        whole.on_whole_request(head, body)
    elif isinstance(head, ResponseHead):
        whole.on_whole_response(head, body)
    assert whole.messages == parsed.messages
    (other,) = parsed.heads
    assert list(head.headers) == list(other.headers)
    without_length = {k: v for k, v in other.fields.items() if k != b"content-length"}
    assert head.fields == without_length
    return other


def test_requests() -> None:
    seen: Counter[bool] = Counter()

    @settings(max_examples=600)
    @given(PLAIN_REQUESTS, OTHER_REQUESTS, st.booleans())
    def compare(plain: bytes, other_kind: bytes, is_plain: bool) -> None:
        raw = plain if is_plain else other_kind
        whole = whole_request(raw, LIMITS, 8192)
        seen[whole is not None] += 1
        if whole is None:
            return
        log = Log()
        parser = RequestParser(log, LIMITS)
        parser.feed(raw[:1])
        parser.feed(raw[1:])
        other = assert_same(*whole, log)
        assert isinstance(other, RequestHead)
        assert whole[0].path == other.path
        assert request_lines(whole[0]) == request_lines(other)
        for name in (b"authorization", b"content-type"):
            assert request_lines(whole[0], {name}) == request_lines(other, {name})

    compare()
    assert min(seen[False], seen[True]) > 40


def test_replies() -> None:
    seen: Counter[bool] = Counter()

    @settings(max_examples=600)
    @given(PLAIN_REPLIES, OTHER_REPLIES, st.booleans())
    def compare(plain: bytes, other_kind: bytes, is_plain: bool) -> None:
        raw = plain if is_plain else other_kind
        whole = whole_response(raw)
        seen[whole is not None] += 1
        if whole is None:
            return
        log = Log()
        parser = ResponseParser(log)
        parser.expect(b"GET", False)
        parser.feed(raw[:1])
        parser.feed(raw[1:])
        other = assert_same(*whole, log)
        assert isinstance(other, ResponseHead)
        assert response_lines(whole[0]) == response_lines(other)

    compare()
    assert min(seen[False], seen[True]) > 40


CHUNKS = [
    *(b"5\r\nhello\r\n", b"05\r\nhello\r\n", b"5;a\r\nhello\r\n", b"5\r\n\r\n5\r\n\r\n"),
    *(
        b"5",
        b"\r\n",
        b"\r",
        b"\n",
        b"hello",
        b"5\r\n",
        b"0\r\n",
        b"0\r\n\r\n",
        b"T: 5\r\n",
        b";a=b",
    ),
    *(
        b"5\r\nhell\r\n",
        b"5 \r\nhello\r\n",
        b"5\r\nhello\n\n",
        b"g\r\n\r\n",
        b"a\r\n5\r\nhello\r\n\r\n",
    ),
]


def chunked_reply(reads: list[bytes]) -> tuple[list[Message], bool]:
    """The reply, and whether it was refused before its end."""
    log = Log()
    parser = ResponseParser(log)
    parser.expect(b"GET", False)
    parser.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    try:
        for read in reads:
            feed(parser, read)
    except BadReply:
        return log.messages, log.messages[0].trailers is None
    return log.messages, False


@settings(max_examples=600)
@given(st.lists(st.sampled_from(CHUNKS), min_size=1, max_size=8))
def test_chunks_that_come_one_a_read(reads: list[bytes]) -> None:
    assert chunked_reply(reads) == chunked_reply([b"".join(reads)])


@pytest.mark.parametrize("size", [*range(3, 300), 4095, 4096, 4097, 2**20, 2**28 - 1, 2**31])
def test_how_a_plain_chunk_begins(size: int) -> None:
    line = b"%x\r\n" % size
    assert plain_chunk(len(line) + size + 2) == ((line, line.upper()), size)


@pytest.mark.parametrize("length", [0, 1, 5, 6, 7, 4 + 2 + 15, 4 + 3 + 255])
def test_what_is_as_long_as_no_plain_chunk(length: int) -> None:
    assert plain_chunk(length) == ((), 0)


def test_sizes_are_left_to_the_parser() -> None:
    raw = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nA: b\r\n\r\nhello"
    assert whole_request(raw, LIMITS, 8192)
    assert whole_request(raw, HeadLimits(header_count=3, body=5), 8192)
    assert not whole_request(raw, HeadLimits(header_count=2), 8192)
    assert not whole_request(raw, HeadLimits(body=4), 8192)
    assert not whole_request(raw, LIMITS, 40)


def test_more_heads_than_are_remembered() -> None:
    for number in range(5000):
        raw = b"GET /%d HTTP/1.1\r\nHost: a\r\nA: %d\r\n\r\n" % (number, number)
        whole = whole_request(raw, LIMITS, 8192)
        assert whole
        assert whole[0].target == b"/%d" % number
