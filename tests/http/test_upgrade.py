"""`Upgrade`: WebSocket becomes raw bytes, everything else is ignored, and no body is a request."""

import pytest

from tests.http.events import Message, bytewise, requests

GET = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
H2C = b"Host: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n"
BODY = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
SPLIT = pytest.mark.parametrize("split", [False, True], ids=["whole", "split"])


def seen(data: bytes, split: bool) -> list[Message]:
    return requests(*(bytewise(data) if split else [data]))


def h2c(framed: bytes, headers: bytes = b"") -> bytes:
    return b"POST /h2c HTTP/1.1\r\n" + H2C + headers + framed


FRAMED = {
    "no body": (b"\r\n", b""),
    "empty body": (b"Content-Length: 0\r\n\r\n", b""),
    "Content-Length": (b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY, BODY),
    "chunked": (
        b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n"
        % (BODY[:5], len(BODY) - 5, BODY[5:]),
        BODY,
    ),
}
ANY_FRAMING = pytest.mark.parametrize(("framed", "body"), FRAMED.values(), ids=FRAMED.keys())


@SPLIT
@ANY_FRAMING
def test_an_upgrade_to_h2c_is_ignored(framed: bytes, body: bytes, split: bool) -> None:
    first, following, last = seen(h2c(framed) + GET + h2c(framed), split)
    for message in (first, last):
        assert message.start == (b"POST", b"/h2c", b"a")
        assert (message.body, message.trailers, message.upgrade) == (body, [], False)
        assert (b"HTTP2-Settings", b"AAM") in message.headers
        assert len(message.headers) == 4 + (b"\r\n\r\n" in framed)
    assert following.start == (b"GET", b"/next", b"a")
    assert following.headers == [(b"Host", b"a")]


@SPLIT
@ANY_FRAMING
def test_a_last_request_that_asks_for_h2c_stays_the_last(
    framed: bytes, body: bytes, split: bool
) -> None:
    (message,) = seen(h2c(framed, b"Connection: close\r\n") + GET, split)
    assert (message.body, message.trailers, message.keep_alive) == (body, [], False)


def test_trailers_behind_an_ignored_upgrade() -> None:
    data = h2c(b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nT: 1\r\n\r\n")
    first, following = requests(data + GET)
    assert (first.body, first.trailers) == (b"x", [(b"T", b"1")])
    assert following.trailers == []


@pytest.mark.timeout(20)
@ANY_FRAMING
def test_thousands_of_them_in_one_read(framed: bytes, body: bytes) -> None:
    messages = requests(h2c(framed) * 5_000)
    assert len(messages) == 5_000
    assert {message.body for message in messages} == {body}


WEBSOCKET = (
    b"GET /realtime HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n"
    b"Upgrade: WebSocket\r\nSec-WebSocket-Key: x\r\n\r\n"
)


@SPLIT
def test_after_a_websocket_handshake_bytes_are_raw(split: bool) -> None:
    before, message = seen(GET + WEBSOCKET + BODY, split)
    assert before.trailers == []
    assert message.upgrade
    assert (message.body, message.trailers) == (BODY, None)


@SPLIT
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"GET /realtime", b"POST /realtime"),
        (b"HTTP/1.1\r\n", b"HTTP/1.0\r\n"),
        (b"Connection: keep-alive, Upgrade\r\n", b"Connection: keep-alive\r\n"),
        (b"Connection: keep-alive, Upgrade\r\n", b"Connection: keep-alive, no-upgrade\r\n"),
        (b"Upgrade: WebSocket\r\n", b""),
        (b"Upgrade: WebSocket\r\n", b"Upgrade: websocket, h2c\r\n"),
        (b"Upgrade: WebSocket\r\n", b"Upgrade: h2c\r\nUpgrade: websocket\r\n"),
        (b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\nhi"),
        (b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
    ],
)
def test_what_is_no_websocket_handshake(old: bytes, new: bytes, split: bool) -> None:
    message, following = seen(WEBSOCKET.replace(old, new, 1) + GET, split)
    assert not message.upgrade
    assert message.trailers == []
    assert following.start[1] == b"/next"
