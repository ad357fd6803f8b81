"""What clients ask a forward proxy for, and what its origin gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http.limits import HeadLimits
from sidecar.http.message import Header, RequestHead
from sidecar.http.proxied import MAX_HEAD, Asked, Form, passed_on_head, read_asked
from sidecar.http.request_parser import RequestParser

OTHER = Asked(Form.OTHER)


def asked(line: str, more: str = "Host: x\r\n") -> Asked | None:
    return read_asked(f"{line}\r\n{more}\r\n".encode())


@pytest.mark.parametrize(
    ("line", "host", "port"),
    [
        ("CONNECT api.openai.com:443 HTTP/1.1", "api.openai.com", 443),
        ("CONNECT API.OpenAI.com.:443 HTTP/1.0", "api.openai.com", 443),
        ("CONNECT 10.0.0.1:80 HTTP/1.1", "10.0.0.1", 80),
        ("CONNECT [::1]:5432 HTTP/1.1", "::1", 5432),
    ],
)
def test_connect(line: str, host: str, port: int) -> None:
    size = len(line) + len("\r\nHost: x\r\n\r\n")
    assert asked(line) == Asked(Form.CONNECT, host, port, size)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://Example.com/a?b", "example.com", 80),
        ("http://example.com:8080", "example.com", 8080),
        ("HTTP://[::1]:81/", "::1", 81),
        ("http://[::1]/", "::1", 80),
    ],
)
def test_absolute(url: str, host: str, port: int) -> None:
    found = asked(f"GET {url} HTTP/1.1")
    assert found is not None
    assert found[:3] == (Form.ABSOLUTE, host, port)


@pytest.mark.parametrize(
    "line",
    [
        "GET /v1/models HTTP/1.1",
        "GET https://a/ HTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
        "GET http://u@a/ HTTP/1.1",
        "GET http:///x HTTP/1.1",
        "GET http://a:0/ HTTP/1.1",
        "GET http://a:99999/ HTTP/1.1",
        "CONNECT a HTTP/1.1",
        "CONNECT a:0 HTTP/1.1",
        "CONNECT a:65536 HTTP/1.1",
        "CONNECT a:443 HTTP/2",
        "CONNECT u@a:443 HTTP/1.1",
        "CONNECT a b:443 HTTP/1.1",
        "\x16\x03\x01",
        "",
    ],
)
def test_what_is_left_to_others(line: str) -> None:
    assert asked(line) == OTHER


def test_only_the_whole_head_counts() -> None:
    head = b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nProxy-Authorization: Basic x\r\n\r\n"
    assert all(read_asked(head[:end]) is None for end in range(len(head)))
    whole = Asked(Form.CONNECT, "a", 443, len(head))
    assert read_asked(head) == read_asked(head + b"\x16\x03\x01") == whole
    assert read_asked(head[:-2] + b"x" * MAX_HEAD) == OTHER


@given(st.binary(max_size=80), st.sampled_from([b"", b"CONNECT a:1 HTTP/1.1\r\n", b"GET http://"]))
def test_whatever_comes_is_told_once_and_for_all(garbage: bytes, before: bytes) -> None:
    data, last = before + garbage, None
    for end in range(len(data) + 1):
        seen = read_asked(data[:end])
        assert last in (None, seen)
        last = seen


class Sink:
    """Takes a head."""

    head: RequestHead

    def on_request(self, head: RequestHead) -> None:
        self.head = head

    def on_whole_request(self, head: RequestHead, body: bytes) -> None:
        self.head = head

    def on_body(self, data: bytes) -> None:
        raise AssertionError("a head has none")

    def on_request_end(self, trailers: list[Header]) -> None:
        assert not trailers


def head_of(text: bytes) -> RequestHead:
    sink = Sink()
    RequestParser(sink, HeadLimits()).feed(text)
    return sink.head


def test_what_an_origin_gets() -> None:
    head = head_of(
        b"POST http://a.example:81/x?y=1 HTTP/1.1\r\nHost: other\r\nA: 1\r\ntraceparent: t\r\n"
        b"Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\nX-Hop: 1\r\n"
        b"Connection: keep-alive, x-hop, content-length\r\nContent-Length: 3\r\nExpect: x\r\n\r\n"
    )
    assert passed_on_head(head) == (
        b"POST /x?y=1 HTTP/1.1\r\nHost: a.example:81\r\nA: 1\r\ntraceparent: t\r\n"
        b"Content-Length: 3\r\nExpect: x\r\nConnection: close\r\n\r\n"
    )


def test_a_chunked_body_stays_one() -> None:
    head = head_of(b"POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert b"\r\nTransfer-Encoding: chunked\r\n" in passed_on_head(head)
