"""Chunks: how their data comes, and that those passed on by length mean what the parser says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.errors import BadReply
from sidecar.http.chunked import BadChunks, Chunked, plain_chunk
from sidecar.http.response_parser import ResponseParser
from tests.http.events import Log, Message, feed

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


class Pieces(list[bytes]):
    def on_body(self, data: bytes) -> None:
        self.append(data)


DATA = {"text": b"text", "empty lines": b"\r\n\r\n", "ends": b"0\r\n\r\n", "sizes": b"\r\n5\r\n"}


@pytest.mark.parametrize("data", DATA.values(), ids=DATA.keys())
@pytest.mark.parametrize("count", [1, 3, 1000])
def test_a_chunk_comes_in_one_piece_whatever_it_is(data: bytes, count: int) -> None:
    pieces = Pieces()
    chunked = Chunked(pieces)
    data *= 1000
    read = (b"%x\r\n%b\r\n" % (len(data), data)) * count + b"0\r\n\r\nnext"
    assert chunked.feed(read, 0) == len(read) - len(b"next")
    assert len(pieces) <= count
    assert b"".join(pieces) == data * count


def test_what_small_chunks_brought_comes_in_one_piece() -> None:
    pieces = Pieces()
    Chunked(pieces).feed(b"3\r\nabc\r\n" * 1000, 0)
    assert pieces == [b"abc" * 1000]


@pytest.mark.parametrize("last", [b"0\r\n\r\n", b"0;a=b\r\nA: b\r\nC: d\r\n\r\n"])
@pytest.mark.parametrize("behind", [b"", b"\n", b"\r\n\nGET", b"\x7f\r\n\n: \r\n\r\n"])
def test_a_body_ends_where_it_ends_however_it_is_split(last: bytes, behind: bytes) -> None:
    data = b"2\r\nok\r\n" + last
    for cut in range(len(data)):
        chunked = Chunked(Pieces())
        assert chunked.feed(data[:cut], 0) == cut
        assert chunked.feed(data + behind, cut) == len(data)
        assert chunked.ended


BAD = [
    b"",
    b" 5",
    b"5 ",
    b"+5",
    b"-5",
    b"0x5",
    b"5_0",
    b"g",
    b"5;",
    b"5; a",
    b"5;a=",
    b'5;a="',
    b"5\r",
]


@pytest.mark.parametrize("line", [*BAD, b"0" * 16 + b"5"])
def test_what_is_no_size_line(line: bytes) -> None:
    pieces = Pieces()
    with pytest.raises(BadChunks):
        Chunked(pieces).feed(b"2\r\nok\r\n" + line + b"\r\nhello\r\n0\r\n\r\n", 0)
    assert pieces == [b"ok"], "what came before it is not lost"


@pytest.mark.parametrize("size", [*range(3, 300), 4095, 4096, 4097, 2**20, 2**28 - 1, 2**31])
def test_how_a_plain_chunk_begins(size: int) -> None:
    line = b"%x\r\n" % size
    assert plain_chunk(len(line) + size + 2) == ((line, line.upper()), size)


@pytest.mark.parametrize("length", [0, 1, 5, 6, 7, 4 + 2 + 15, 4 + 3 + 255])
def test_what_is_as_long_as_no_plain_chunk(length: int) -> None:
    assert plain_chunk(length) == ((), 0)
