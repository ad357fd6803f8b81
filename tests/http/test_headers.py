"""Which header lines go on, and in which order and spelling."""

from collections.abc import Callable

import pytest

from sidecar.http import headers
from sidecar.http.limits import HeadLimits
from sidecar.http.message import Header, RequestHead, ResponseHead
from sidecar.http.request_parser import RequestParser
from sidecar.http.response_parser import ResponseParser
from tests.http.events import Log, requests

KEPT = b"\r\naCCept: a\r\nX-One: 1\r\nx-one: 2\r\nX-Empty: \r\nX-One: 1"


def request(lines: bytes) -> RequestHead:
    log = Log()
    RequestParser(log, HeadLimits()).feed(b"POST / HTTP/1.1\r\nHost: a" + lines + b"\r\n\r\n")
    (head,) = log.heads
    assert isinstance(head, RequestHead)
    return head


def response(lines: bytes) -> ResponseHead:
    log = Log()
    parser = ResponseParser(log)
    parser.expect(b"GET", False)
    parser.feed(b"HTTP/1.1 200 Fine" + lines + b"\r\n\r\n")
    (head,) = log.heads
    assert isinstance(head, ResponseHead)
    return head


def test_order_spelling_and_repeats_are_kept() -> None:
    assert headers.request_lines(request(KEPT)) == KEPT
    assert headers.response_lines(response(KEPT)) == KEPT


HOP_BY_HOP = [
    b"Connection: close",
    b"CONNECTION: keep-alive",
    b"Keep-Alive: timeout=5",
    b"Proxy-Connection: keep-alive",
    b"TE: gzip",
    b"Upgrade: h2c",
    b"Transfer-Encoding: chunked",
    b"Connection: X-Private\r\nx-private: 1\r\nX-PRIVATE: 2",
    b"Connection: close, x-a ,X-B\r\nX-A: 1\r\nX-B: 2",
    b"Connection: x-a\r\nX-A: 1\r\nConnection:\tx-b\r\nX-B: 2",
    b"Connection: ,,\r\nKeep-Alive: x",
]


@pytest.mark.parametrize("lines", HOP_BY_HOP)
def test_what_belongs_to_one_connection_stays_there(lines: bytes) -> None:
    for around in (b"\r\n" + lines + KEPT, KEPT + b"\r\n" + lines):
        assert headers.request_lines(request(around)) == KEPT
        assert headers.response_lines(response(around)) == KEPT


def test_connection_can_not_take_the_framing_away() -> None:
    lines = b"\r\nConnection: content-length, host, transfer-encoding\r\nContent-Length: 0"
    assert headers.request_lines(request(lines)) == b"\r\nContent-Length: 0"
    assert headers.response_lines(response(lines)) == b"\r\nContent-Length: 0"


@pytest.mark.parametrize(
    "line",
    [
        b"Expect: 100-continue",
        b"Traceparent: 00-1",
        b"TraceState: a=b",
        b"X-Request-ID: 1",
    ],
)
def test_what_an_attempt_sets_itself_is_not_sent_twice(line: bytes) -> None:
    assert headers.request_lines(request(b"\r\n" + line + KEPT)) == KEPT
    assert line in headers.response_lines(response(b"\r\n" + line))


def test_a_replaced_credential_is_not_sent() -> None:
    head = request(b"\r\nAuthorization: mine\r\nauthorization: again\r\nX-Api-Key: other")
    assert headers.request_lines(head, {b"authorization"}) == b"\r\nX-Api-Key: other"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (b"trailers", True),
        (b"gzip;q=1, Trailers", True),
        (b"gzip", False),
        (b"no-trailers", False),
    ],
)
def test_te_says_only_that_trailers_are_welcome(value: bytes, kept: bool) -> None:
    lines = headers.request_lines(request(b"\r\nConnection: TE\r\nTE: " + value))
    assert lines == (b"\r\nConnection: TE\r\nTE: trailers" if kept else b"")
    assert headers.response_lines(response(b"\r\nTE: " + value)) == b""


def test_the_status_line() -> None:
    assert headers.status_line(response(b"")) == b"HTTP/1.1 200 Fine"


def trailers_of(*names: bytes) -> list[Header]:
    return [(name.lower(), name, b"1") for name in names]


FRAMES = (b"Content-Length", b"Connection", b"Transfer-Encoding", b"Host")
ENDS = [headers.request_end, headers.response_end]


@pytest.mark.parametrize("end", ENDS)
def test_chunks_and_trailers(end: Callable[[list[Header]], bytes]) -> None:
    trailers = trailers_of(b"Digest", *FRAMES[:2], b"X-a", *FRAMES[2:])
    body = headers.chunk(b"a" * 26) + headers.chunk(b"b") + end(trailers)
    assert body == b"1a\r\n%b\r\n1\r\nb\r\n0\r\nDigest: 1\r\nX-a: 1\r\n\r\n" % (b"a" * 26)
    head = b"POST / HTTP/1.1\r\nHost: a" + headers.CHUNKED_LINE + b"\r\n\r\n"
    (message,) = requests(head + body)
    assert (message.body, message.trailers) == (
        b"a" * 26 + b"b",
        [(b"Digest", b"1"), (b"X-a", b"1")],
    )


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("trailers", [[], trailers_of(b"Host"), trailers_of(b"X-Sidecar-Error")])
def test_a_body_without_trailers(
    end: Callable[[list[Header]], bytes], trailers: list[Header]
) -> None:
    assert end(trailers) == b"0\r\n\r\n"


@pytest.mark.parametrize(
    "name",
    [
        b"Authorization",
        b"Proxy-Authorization",
        b"Cookie",
        b"X-Api-Key",
        b"Expect",
        b"X-Request-Id",
        b"X-Trace-Id",
        b"Traceparent",
        b"X-Sidecar-Timeout",
        b"Content-Type",
        b"Content-Encoding",
        b"Max-Forwards",
        b"Range",
        b"If-Match",
        b"TE",
    ],
)
def test_what_means_something_in_a_head_is_no_trailer_of_a_request(name: bytes) -> None:
    assert headers.request_end(trailers_of(name, b"x-checksum")) == b"0\r\nx-checksum: 1\r\n\r\n"


@pytest.mark.parametrize("name", [b"X-Sidecar-Error", b"x-sidecar-anything"])
def test_only_the_sidecar_itself_says_what_begins_with_its_name(name: bytes) -> None:
    line = b"\r\n" + name + b": no_route"
    assert headers.response_lines(response(line + KEPT)) == KEPT
    assert headers.request_lines(request(line + KEPT)) == KEPT


@pytest.mark.parametrize(
    ("status", "kept"), [(b"204 No Content", False), (b"304 Not Modified", True), (b"200 OK", True)]
)
def test_a_reply_that_can_have_no_body_says_no_length(status: bytes, kept: bool) -> None:
    log = Log()
    parser = ResponseParser(log)
    parser.expect(b"GET", False)
    parser.feed(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\nA: b\r\n\r\n")
    (head,) = log.heads
    assert isinstance(head, ResponseHead)
    length = b"\r\nContent-Length: 5" if kept else b""
    assert headers.response_lines(head) == length + b"\r\nA: b"
