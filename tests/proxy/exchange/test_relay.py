"""Chunks that take the short way, against the parser that knows them all."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.http.response_parser import ResponseParser
from sidecar.http.sse import Boundary
from sidecar.proxy.exchange.relay import Relay
from tests.http.events import Log

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def taken(data: bytes) -> list[bytes]:
    """What a new relay passes on of *data*."""
    written: list[bytes] = []
    relay = Relay(written.append, Boundary())
    assert relay.take(data) == bool(written)
    return written


def test_one_chunk_goes_on_as_it_came() -> None:
    for data in (b"5\r\nhello\r\n", b"A\r\n0123456789\r\n", b"a\r\n0123456789\r\n"):
        assert taken(data) == [data]
        assert taken(data)[0] is data


def test_the_rest_is_left_to_the_parser() -> None:
    for data in (
        b"",
        b"5",
        b"hello",
        b"0\r\n\r\n",
        b"2\r\nhi\r\n",  # too short to tell by it alone how the stream ends
        b"05\r\nhello\r\n",
        b"5;a\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"5\r\nhello\n\n",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n5\r\nhello\r\n",
        b"5\r\nhell\r\n",
    ):
        assert taken(data) == []


@settings(max_examples=500)
@given(st.binary(max_size=40), st.booleans(), st.sampled_from([b"\r\n", b"\n", b""]))
def test_what_it_takes_is_one_chunk_to_the_parser_too(data: bytes, upper: bool, end: bytes) -> None:
    line = b"%X" if upper else b"%x"
    raw = line % len(data) + b"\r\n" + data + end
    for read in (raw, raw + raw, data):
        for written in taken(read):
            log = Log()
            parser = ResponseParser(log)
            parser.expect(b"GET", False)
            parser.feed(HEAD + written)
            parser.feed(b"0\r\n\r\n")
            assert [message.body for message in log.messages] == [data]
            assert log.messages[0].trailers == []


@given(st.lists(st.sampled_from([b"data: a\n\n", b"data: a\n", b"\n\n\n", b"\r\n\r", b"abc"])))
def test_it_keeps_how_the_stream_ends(pieces: list[bytes]) -> None:
    seen, fed = Boundary(), Boundary()
    relay = Relay(lambda data: None, seen)
    for data in pieces:
        assert relay.take(b"%x\r\n%b\r\n" % (len(data), data))
        fed.feed(data)
        assert seen.at_boundary() == fed.at_boundary()
    assert relay.passed == sum(map(len, pieces))
