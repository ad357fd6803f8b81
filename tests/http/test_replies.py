"""Replies: which have a body, how it ends, and what is not taken for an answer."""

import pytest

from sidecar.errors import BadReply
from sidecar.http.message import CHUNKED, CLOSE_DELIMITED, NO_BODY, Header
from sidecar.http.response_parser import ResponseParser
from tests.http.events import Log, Message, bytewise, reply

OK = b"HTTP/1.1 200 OK\r\n"
SPLIT = pytest.mark.parametrize("split", [False, True], ids=["whole", "split"])


def reads(data: bytes, split: bool) -> list[bytes]:
    return bytewise(data) if split else [data]


@SPLIT
@pytest.mark.parametrize(
    ("method", "data", "framing", "keep_alive"),
    [
        (b"HEAD", OK + b"Content-Length: 5\r\n\r\n", NO_BODY, True),
        (b"HEAD", OK + b"Transfer-Encoding: chunked\r\n\r\n", NO_BODY, True),
        (b"HEAD", OK + b"Transfer-Encoding: gzip\r\n\r\n", NO_BODY, True),
        (b"HEAD", OK + b"\r\n", NO_BODY, True),
        (b"HEAD", OK + b"Connection: close\r\n\r\n", NO_BODY, False),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", NO_BODY, True),
        (b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", NO_BODY, True),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", NO_BODY, True),
        (b"GET", b"HTTP/1.1 304 \r\nTransfer-Encoding: chunked\r\n\r\n", NO_BODY, True),
        (b"GET", OK + b"Content-Length: 0\r\n\r\n", NO_BODY, True),
        (b"GET", OK + b"Content-Length: 5\r\n\r\nhello", 5, True),
        (b"GET", OK + b"Content-Length: 5\r\nConnection: a, Close\r\n\r\nhello", 5, False),
        (b"GET", b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 5, False),
        (
            b"GET",
            b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello",
            5,
            True,
        ),
        (
            b"GET",
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\nContent-Length: 5\r\n\r\nhello",
            5,
            False,
        ),
        (b"POST", OK + b"Transfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\n0\r\n\r\n", -1, True),
        (b"GET", b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", 5, True),
        (b"GET", b"HTTP/1.1 999 \x80\r\nContent-Length: 5\r\n\r\nhello", 5, True),
        (
            b"GET",
            b"HTTP/1.1 426 \r\nUpgrade: h2\r\nConnection: upgrade\r\n"
            b"Content-Length: 5\r\n\r\nhello",
            5,
            True,
        ),
    ],
)
def test_bodies(method: bytes, data: bytes, framing: int, keep_alive: bool, split: bool) -> None:
    (message,) = reply(*reads(data, split), method=method)
    assert (message.framing, message.keep_alive) == (framing, keep_alive)
    assert message.body == (b"" if framing == NO_BODY else b"hello")
    assert message.trailers == []


@SPLIT
@pytest.mark.parametrize("start", [OK, b"HTTP/1.0 200 OK\r\n", OK + b"Connection: keep-alive\r\n"])
def test_a_body_that_ends_with_its_connection(start: bytes, split: bool) -> None:
    data = reads(start + b"\r\nHTTP/1.1 200 OK\r\n\r\n", split)
    (message,) = reply(*data)
    assert (message.framing, message.keep_alive, message.trailers) == (CLOSE_DELIMITED, False, None)
    (message,) = reply(*data, closed=True)
    assert (message.body, message.trailers) == (OK + b"\r\n", [])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200",
        OK,
        b"HTTP/1.1 100 Continue\r\n\r\n",
        OK + b"Content-Length: 5\r\n\r\nhell",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n",
        OK + b"Content-Length: 0\r\n\r\n",
    ],
)
def test_a_close_that_completes_nothing(data: bytes) -> None:
    parser = ResponseParser(Log())
    parser.expect(b"GET", False)
    if data:
        parser.feed(data)
    assert not parser.end_of_stream()


@SPLIT
def test_trailers(split: bool) -> None:
    data = OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nT: 1\r\nU:\r\n\r\n"
    (message,) = reply(*reads(data, split))
    assert (message.framing, message.trailers) == (CHUNKED, [(b"T", b"1"), (b"U", b"")])


@SPLIT
def test_interim_replies_come_before_the_reply(split: bool) -> None:
    data = b"".join(
        b"HTTP/1.1 %d Interim\r\nLink: a\r\n\r\n" % status for status in (100, 103, 199)
    )
    messages = reply(*reads(data + OK + b"Content-Length: 1\r\n\r\na", split))
    assert [(m.start[0], m.trailers) for m in messages] == [
        (100, None),
        (103, None),
        (199, None),
        (200, []),
    ]


UPGRADED = b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


@SPLIT
def test_after_a_101_bytes_are_raw(split: bool) -> None:
    (message,) = reply(*reads(UPGRADED + OK, split), upgrade=True)
    assert (message.start[0], message.body, message.trailers) == (101, OK, None)


REFUSED = [
    UPGRADED,
    b"rubbish\r\n\r\n",
    b"HTTP/1.1 099 Low\r\n\r\n",
    b"HTTP/1.1 20 Short\r\n\r\n",
    b"HTTP/1.1 2000 Long\r\n\r\n",
    b"HTTP/1.1  200 OK\r\n\r\n",
    b"HTTP/0.9 200 OK\r\n\r\n",
    b"HTTP/1.2 200 OK\r\n\r\n",
    b"HTTP/2.0 200 OK\r\n\r\n",
    b"HTTP/2 200 OK\r\n\r\n",
    b"RTSP/1.1 200 OK\r\n\r\n",
    b"ICE/1.0 200 OK\r\n\r\n",
    b"ICY 200 OK\r\n\r\n",
    b"HTTP/1.1 200 O\x00K\r\n\r\n",
    b"HTTP/1.1 200 O\x1bK\r\n\r\n",
    b"HTTP/1.1 200 O\rK\r\n\r\n",
    b"HTTP/1.1 200 O\nK: \r\n\r\n",
    b"HTTP/1.1 104 Interim\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n",
    OK + b"A: b\r\n c\r\n\r\n",
    OK + b"A : b\r\n\r\n",
    OK + b"A: b\nB: c\r\n\r\n",
    OK + b"A: \x00\r\n\r\n",
    OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
    OK + b"Content-Length: 3, 3\r\n\r\n",
    OK + b"Content-Length: " + b"0" * 5000 + b"\r\n\r\n",
    OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    OK + b"Transfer-Encoding: gzip\r\n\r\n",
    OK + b"Transfer-Encoding: chunked, identity\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nConnection: close\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nProxy-Connection: close\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n",
]


@SPLIT
@pytest.mark.parametrize("data", REFUSED)
def test_replies_that_are_refused(data: bytes, split: bool) -> None:
    with pytest.raises(BadReply):
        reply(*reads(data, split))


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", b"200"), (b"GET", b"304")])
def test_a_length_without_a_body_must_be_one_too(method: bytes, status: bytes) -> None:
    head = b"HTTP/1.1 %b OK\r\nContent-Length: %b\r\n\r\n"
    reply(head % (status, b"9" * 19), method=method)
    with pytest.raises(BadReply):
        reply(head % (status, b"0" * 21), method=method)


@pytest.mark.parametrize("body", [b"2\r\nhi\r\n0\r\n\r\n", b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n"])
def test_a_body_that_answers_head_is_no_part_of_the_reply(body: bytes) -> None:
    log = Log()
    parser = ResponseParser(log)
    parser.expect(b"HEAD", False)
    with pytest.raises(BadReply):  # so that its trailers never become the next reply's
        parser.feed(OK + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    (message,) = log.messages
    assert (message.body, message.trailers) == (b"", [])


def test_a_101_must_say_to_what() -> None:
    log = Log()
    parser = ResponseParser(log)
    parser.expect(b"GET", True)
    with pytest.raises(BadReply):
        parser.feed(b"HTTP/1.1 101 Switching\r\n\r\n")
    assert log.messages == []


@SPLIT
def test_a_chunk_is_no_reply(split: bool) -> None:
    log = Log()
    parser = ResponseParser(log)
    parser.expect(b"GET", False)
    for read in reads(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", split):
        parser.feed(read)
    parser.expect(b"GET", False)
    with pytest.raises(BadReply):
        parser.feed(b"2\r\nhi\r\n")
    assert [message.body for message in log.messages] == [b"hi"]


ANSWERS = {
    "Content-Length": (b"GET", OK + b"Content-Length: 2\r\n\r\nhi"),
    "chunked": (b"GET", OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
    "204": (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
    "304": (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n"),
    "HEAD": (b"HEAD", OK + b"Content-Length: 2\r\n\r\n"),
}
ANY_ANSWER = pytest.mark.parametrize(("method", "data"), ANSWERS.values(), ids=ANSWERS.keys())


@ANY_ANSWER
@pytest.mark.parametrize("more", [OK + b"Content-Length: 0\r\n\r\n", b"hi", b"rubbish", b"\x00"])
def test_bytes_that_answer_nothing(method: bytes, data: bytes, more: bytes) -> None:
    log = Log()
    parser = ResponseParser(log)
    parser.expect(method, False)
    with pytest.raises(BadReply):
        parser.feed(data + more)
    assert [message.trailers for message in log.messages] == [[]]
    parser = ResponseParser(log)
    with pytest.raises(BadReply):
        parser.feed(more)
    parser.expect(method, False)
    parser.feed(data)
    with pytest.raises(BadReply):
        parser.feed(more)
    assert len(log.messages) == 2


@ANY_ANSWER
@SPLIT
def test_bytes_behind_the_last_reply_are_ignored(method: bytes, data: bytes, split: bool) -> None:
    last = data.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    expected = reply(last, method=method)
    assert reply(*reads(last + data, split), method=method) == expected
    assert not expected[0].keep_alive


@ANY_ANSWER
@SPLIT
def test_replies_one_after_the_other(method: bytes, data: bytes, split: bool) -> None:
    log = Log()
    parser = ResponseParser(log)
    for turn in range(3):
        parser.expect(method, False)
        for read in reads(data, split):
            parser.feed(read)
        assert [message.trailers for message in log.messages] == [[]] * (turn + 1)


class Eager(Log):
    """Sends its next request as soon as a reply is complete."""

    parser: ResponseParser

    def on_response_end(self, trailers: list[Header]) -> None:
        self.on_request_end(trailers)
        self.parser.expect(b"GET", False)


@ANY_ANSWER
def test_what_came_before_a_request_can_not_answer_it(method: bytes, data: bytes) -> None:
    sink = Eager()
    sink.parser = ResponseParser(sink)
    sink.parser.expect(method, False)
    with pytest.raises(BadReply):
        sink.parser.feed(data + data)
    assert len(sink.messages) == 1


@pytest.mark.parametrize("complete", [False, True])
def test_what_a_sink_raises_is_not_swallowed(complete: bool) -> None:
    class Broken(Log):
        def _add(self, *_: object) -> None:
            if not complete:
                raise KeyError

        def on_response_end(self, trailers: list[Header]) -> None:
            raise KeyError

    parser = ResponseParser(Broken([Message((), [])]))
    parser.expect(b"GET", False)
    with pytest.raises(KeyError):
        parser.feed(OK + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
