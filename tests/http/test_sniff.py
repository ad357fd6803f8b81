"""First bytes of connections, as clients and servers of many protocols send them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http.sniff import MAX_SNIFFED, Protocol, Sniffed, sniff
from tests.http.test_client_hello import real_hello

GET = b"GET /v1/models?a=b HTTP/1.1\r\nUser-Agent: x\r\nhost:  API.example:8000 \r\nA: b\r\n\r\n"


def test_tls() -> None:
    hello = real_hello("a.example", ["h2"])
    seen = sniff(hello)
    assert seen is not None
    assert seen[:2] == (Protocol.TLS, "a.example")
    assert seen.hello is not None
    assert seen.hello.alpn == (b"h2",)
    assert all(sniff(hello[:end]) is None for end in range(len(hello)))


def test_a_request_is_known_once_its_host_is() -> None:
    known = GET.index(b"A: b")
    assert all(sniff(GET[:end]) is None for end in range(known))
    assert all(
        sniff(GET[:end]) == Sniffed(Protocol.HTTP, "api.example")
        for end in range(known, len(GET) + 1)
    )


@pytest.mark.parametrize(
    ("data", "host"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", None),
        (b"GET / HTTP/1.0\n\n", None),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", None),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "a"),
        (b"POST /x HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "::1"),
        (b"POST /x HTTP/1.1\r\nA: b\r\n\r\nHost: body\r\n", None),
    ],
)
def test_requests(data: bytes, host: str | None) -> None:
    assert sniff(data) == Sniffed(Protocol.HTTP, host)


@pytest.mark.parametrize(
    "data",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",  # HTTP/2 (RFC 9113, section 3.4)
        b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",  # to another proxy
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/2\r\n",
        b"GET /\r\n",  # HTTP/0.9
        b"get / HTTP/1.1\r\n",
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",  # Postgres asks for TLS
        b"\x16\x03\x01\x00\x00",
        b"*1\r\n$4\r\nPING\r\n",  # Redis
        b"PING\r\n",
        b"CONNECT {}\r\n",  # NATS
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        b"\x80",
    ],
)
def test_others(data: bytes) -> None:
    assert sniff(data) == Sniffed(Protocol.OTHER)


def test_nothing_is_waited_for_without_end() -> None:
    for endless in (b"GET /", b"GET / HTTP/1.1\r\nA: "):
        assert sniff(endless + b"x" * (MAX_SNIFFED - len(endless) - 1)) is None
        assert sniff(endless + b"x" * (MAX_SNIFFED - len(endless))) == Sniffed(Protocol.OTHER)


@given(st.binary(max_size=60), st.sampled_from([b"", b"GET ", b"GET / HTTP/1.1\r\n", GET]))
def test_whatever_comes_is_told_and_never_raised(garbage: bytes, before: bytes) -> None:
    seen = sniff(before + garbage)
    assert seen is None or isinstance(seen, Sniffed)


@given(st.binary(max_size=40), st.sampled_from([b"", b"GET /", b"GET / HTTP/1.1\r\nHost: a"]))
def test_what_is_known_stays_known(garbage: bytes, before: bytes) -> None:
    data = before + garbage
    last = None
    for end in range(len(data) + 1):
        seen = sniff(data[:end])
        assert last in (None, seen)
        last = seen
