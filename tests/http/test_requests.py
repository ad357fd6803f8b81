"""Requests that are refused, and those that only look as if they should be."""

import pytest

from sidecar.errors import BadMessage
from sidecar.http.limits import HeadLimits
from sidecar.http.message import CHUNKED
from sidecar.http.request_parser import RequestParser
from tests.http.events import Log, bytewise, requests

HOST = b"Host: a\r\n"


def refusal(data: bytes) -> int:
    """The status that *data* is refused with, however it is split."""
    with pytest.raises(BadMessage) as whole:
        requests(data)
    with pytest.raises(BadMessage) as split:
        requests(*bytewise(data))
    assert whole.value.status == split.value.status
    assert whole.value.close
    return whole.value.status


def get(headers: bytes = HOST, line: bytes = b"GET / HTTP/1.1") -> bytes:
    return line + b"\r\n" + headers + b"\r\n"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/0.9", 505),
        (b"GET /", 400),
        (b"GET / HTTP/1.2", 505),
        (b"GET / HTTP/1.10", 400),
        (b"GET / http/1.1", 400),
        (b"PRI * HTTP/2.0", 501),
        (b"GET / RTSP/1.0", 400),
        (b"GET / RTSP/1.1", 400),
        (b"OPTIONS * RTSP/1.0", 400),
        (b"DESCRIBE / RTSP/1.0", 501),
        (b"SOURCE / ICE/1.0", 400),
        (b"SOURCE / ICE/1.1", 400),
        (b"BREW / HTTP/1.1", 501),
        (b"get / HTTP/1.1", 501),
        (b"CONNECT a:443 HTTP/1.1", 405),
        (b"CONNECT /a HTTP/1.1", 405),
        (b"CONNECT http://a/ HTTP/1.1", 405),
        (b"GET  / HTTP/1.1", 400),
        (b"GET /  HTTP/1.1", 400),
        (b" GET / HTTP/1.1", 501),
        (b"GET / HTTP/1.1 ", 400),
        (b"GET\t/ HTTP/1.1", 501),
        (b"GET /\tx HTTP/1.1", 400),
        (b"GET /\x00 HTTP/1.1", 400),
        (b"GET /\xc3\xa9 HTTP/1.1", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET /a#b HTTP/1.1", 400),
        (b"GET * HTTP/1.1", 400),
        (b"GET a HTTP/1.1", 400),
        (b"GET a:80 HTTP/1.1", 400),
        (b"GET http:// HTTP/1.1", 400),
        (b"GET http:///a HTTP/1.1", 400),
        (b"GET http://u:p@a/ HTTP/1.1", 400),
        (b"GET http://a/#b HTTP/1.1", 400),
        (b"GET ftp://a/ HTTP/1.1", 400),
        (b"GET http://a:x/ HTTP/1.1", 400),
    ],
)
def test_request_lines_that_are_refused(line: bytes, status: int) -> None:
    assert refusal(get(line=line)) == status


@pytest.mark.parametrize(
    ("target", "host", "origin"),
    [
        (b"/", b"a", b"/"),
        (b"//b/c", b"a", b"//b/c"),
        (b"/?x=http://b/", b"a", b"/?x=http://b/"),
        (b"http://b/c?d", b"b", b"/c?d"),
        (b"HTTP://B:8080", b"b:8080", b"/"),
        (b"https://b?d", b"b", b"/?d"),
        (b"http://[::1]:80/c", b"[::1]:80", b"/c"),
    ],
)
def test_targets_reach_us_in_origin_form(target: bytes, host: bytes, origin: bytes) -> None:
    (request,) = requests(get(line=b"GET " + target + b" HTTP/1.1"))
    assert request.start == (b"GET", origin, host)


@pytest.mark.parametrize("target", [b"*", b"http://a"])
def test_options_of_the_server_itself(target: bytes) -> None:
    (request,) = requests(get(line=b"OPTIONS " + target + b" HTTP/1.1"))
    assert request.start == (b"OPTIONS", b"*", b"a")


@pytest.mark.parametrize(
    "headers",
    [
        b"",
        HOST + HOST,
        b"Host:\r\nHost:\r\n",
        b"Host: a, b\r\n",
        b"Host: a b\r\n",
        b"Host: u@a\r\n",
        b"Host: a/b\r\n",
        b"Host: a:b\r\n",
        b"Host: a:123456\r\n",
        b"Host: [::1\r\n",
        b"Host: " + b"a" * 300 + b"\r\n",
        HOST + b"A: b\r\n c\r\n",
        HOST + b"A: b\nC: d\r\n",
        HOST + b"A: b\rC: d\r\n",
        HOST + b"A : b\r\n",
        HOST + b" A: b\r\n",
        HOST + b": b\r\n",
        HOST + b"A\r\n",
        HOST + b"A(): b\r\n",
        HOST + b"\xe9: b\r\n",
        HOST + b"A: \x00\r\n",
        HOST + b"A\x00: b\r\n",
        HOST + b"A: \x7f\r\n",
        HOST + b"A: \x0b\r\n",
        b" " + HOST,
    ],
)
def test_headers_that_are_refused(headers: bytes) -> None:
    assert refusal(get(headers)) == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", 400),
        (b"Content-Length: 3\r\nContent-Length: 3\r\n", 400),
        (b"Content-Length: 3\r\nContent-Length: 4\r\n", 400),
        (b"Content-Length: 3, 3\r\n", 400),
        (b"Content-Length: +3\r\n", 400),
        (b"Content-Length: -3\r\n", 400),
        (b"Content-Length: 0x3\r\n", 400),
        (b"Content-Length: 3_0\r\n", 400),
        (b"Content-Length: 3 0\r\n", 400),
        (b"Content-Length: \xb3\r\n", 400),
        (b"Content-Length:\r\n", 400),
        (b"Content-Length: 18446744073709551616\r\n", 400),
        (b"Content-Length: " + b"0" * 5000 + b"\r\n", 400),
        (b"Transfer-Encoding: gzip, chunked\r\n", 501),
        (b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 501),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
        (b"Transfer-Encoding: chunked, chunked\r\n", 400),
        (b"Transfer-Encoding: chunked, gzip\r\n", 400),
        (b"Transfer-Encoding: gzip\r\n", 501),
        (b"Transfer-Encoding: chunked;a=b\r\n", 501),
        (b"Transfer-Encoding: xchunked\r\n", 501),
        (b"Transfer-Encoding: \x0bchunked\r\n", 400),
        (b"Transfer-Encoding:\r\n", 400),
    ],
)
def test_framing_that_is_refused(headers: bytes, status: int) -> None:
    assert refusal(get(HOST + headers, b"POST / HTTP/1.1")) == status


def test_no_transfer_coding_in_http_1_0() -> None:
    assert refusal(get(b"Transfer-Encoding: chunked\r\n", b"POST / HTTP/1.0")) == 400


@pytest.mark.parametrize(
    "body",
    [
        b"\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"0x1\r\na\r\n",
        b"1 \r\na\r\n",
        b"1\na\r\n",
        b"1\r\nab\r\n",
        b"1\r\na\n0\r\n\r\n",
        b"1\r\na0\r\n\r\n",
        b"10000000000000001\r\na\r\n",
        b"1;\r\na\r\n",
        b"1;a\nb\r\na\r\n",
        b"1;a=\x00\r\na\r\n",
        b"0\r\nA: b\r\n c\r\n\r\n",
        b"0\r\nA : b\r\n\r\n",
        b"0\r\nContent-Length: 3\r\n\r\n",
        b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0\r\nConnection: close\r\n\r\n",
        b"0\r\nProxy-Connection: close\r\n\r\n",
    ],
)
def test_chunks_that_are_refused(body: bytes) -> None:
    head = get(HOST + b"Transfer-Encoding: chunked\r\n", b"POST / HTTP/1.1")
    assert refusal(head + body) == 400


def test_the_head_as_it_was_spelled() -> None:
    (request,) = requests(get(b"hOST: A\r\nX-b:  c\xe9 \t\r\nx-B:\r\nX-!: d\r\n"))
    assert request.headers == [(b"hOST", b"A"), (b"X-b", b"c\xe9"), (b"x-B", b""), (b"X-!", b"d")]


def test_a_chunked_body_with_extensions_and_trailers() -> None:
    head = get(HOST + b"Transfer-Encoding: Chunked \r\n", b"POST / HTTP/1.1")
    data = head + b'3;a="b;\\""\r\nabc\r\n0A;c=d;e\r\n0123456789\r\n000\r\nT: 1\r\nT: 2 \r\n\r\n'
    for reads in ([data], bytewise(data)):
        (request,) = requests(*reads)
        assert (request.framing, request.body) == (CHUNKED, b"abc0123456789")
        assert request.trailers == [(b"T", b"1"), (b"T", b"2")]


@pytest.mark.parametrize("count", [0, 1, 8])
def test_a_few_empty_lines_before_a_request_are_skipped(count: int) -> None:
    data = b"\r\n" * count + get() + b"\r\n" * count + get()
    assert len(requests(data)) == len(requests(*bytewise(data))) == 2


@pytest.mark.parametrize(
    "blank", [b"\r\n" * 9, b"\n", b"\r", b"\r\r\n", b"\r\n\n", b"\n\r\n", b"\r\n\r"]
)
def test_other_line_ends_before_a_request_are_refused(blank: bytes) -> None:
    assert refusal(blank + get()) == 400


def test_an_empty_line_begins_a_request() -> None:
    parser = RequestParser(Log(), HeadLimits())
    begun = []
    for read in (b"", b"\r\n", get()[:10], get()[10:]):
        parser.feed(read)
        begun.append(parser.begun)
    assert begun == [False, True, True, False]


@pytest.mark.parametrize(
    "first",
    [
        get(),
        get(HOST + b"Content-Length: 2\r\n", b"POST / HTTP/1.1") + b"hi",
        get(HOST + b"Transfer-Encoding: chunked\r\n", b"POST / HTTP/1.1")
        + b"8\r\na\r\n\r\n\r\nb\r\n0\r\nT: 1\r\n\r\n",
    ],
)
def test_one_request_is_parsed_at_a_time(first: bytes) -> None:
    log = Log()
    parser = RequestParser(log, HeadLimits())
    data = first + get() * 1000
    assert parser.feed(data) == len(first)
    assert len(log.messages) == 1
    assert parser.feed(data, len(first)) == len(first) + len(get())
    assert len(log.messages) == 2


def test_pipelined_requests_in_one_read() -> None:
    post = get(HOST + b"Content-Length: 2\r\n", b"POST /b HTTP/1.1") + b"hi"
    seen = requests(get() + post + b"\r\n" + get())
    assert [(r.start[1], r.body, r.trailers) for r in seen] == [
        (b"/", b"", []),
        (b"/b", b"hi", []),
        (b"/", b"", []),
    ]


def test_a_body_may_speak_of_other_protocols() -> None:
    body = b"GET / RTSP/1.0 and GET / HTTP/1.0"
    data = get(HOST + b"Content-Length: %d\r\n" % len(body)) + body
    assert [r.minor for r in requests(data + data)] == [1, 1]


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(
    ("line", "headers"),
    [(b"GET / HTTP/1.1", HOST + b"Connection: a, Close\r\n"), (b"GET / HTTP/1.0", b"")],
)
def test_nothing_follows_the_last_request(line: bytes, headers: bytes, split: bool) -> None:
    data = get(headers, line) + get() + b"rubbish"
    (request,) = requests(*(bytewise(data) if split else [data]))
    assert not request.keep_alive


def test_http_1_0_needs_no_host_and_may_stay() -> None:
    (request, _) = requests(get(b"Connection: keep-alive\r\n", b"GET / HTTP/1.0") + get())
    assert (request.start, request.minor, request.keep_alive) == ((b"GET", b"/", b""), 0, True)
