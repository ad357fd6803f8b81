"""First bytes of connections: what programs send to a proxy, or to what they take for a server."""

from __future__ import annotations

from functools import lru_cache
from random import Random
from typing import Final

from sidecar.http.client_hello import MAX_HELLO
from tests.fuzz import request_inputs
from tests.http.test_client_hello import built, extension, in_records, named, real_hello

_NAMES: Final = (b"a.example", b"A.Example.", b"x" * 254, b"a b", b"", b"1.2.3.4", b"a\x00", b"-a-")
_HEADS: Final = (
    b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
    b"CONNECT [::1]:5432 HTTP/1.0\r\nProxy-Authorization: Basic x\r\n\r\n",
    b"GET http://a.example:8080/x?y HTTP/1.1\r\nHost: b\r\n\r\n",
    b"POST http://[::1] HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi",
    b"GET /v1/models HTTP/1.1\r\nUser-Agent: x\r\nhost:  API.example:8000 \r\nA: b\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
    b"\x05\x01\x00",
)
WORDS: Final = [
    *(b"\x16\x03\x01", b"\x16\x03\x03\x00\x05", b"\x01\x00", b"\x00\x00", b"\xff\xff\xff"),
    *(b"CONNECT ", b" HTTP/1.1\r\n", b"\r\nHost: ", b"\nHOST:", b"\r\n\r\n", b"http://", b"[::1]"),
    *(b":443", b":0", b":99999", b"\n\n", b"GET ", b"PRI ", b"@", b"%25", b"GET / HTTP/1.1\r\n"),
]


def first_bytes(random: Random) -> bytes:
    """What a connection begins with."""
    kind = random.randrange(4)
    if kind == 0:
        return _hello(random)
    if kind == 1:
        return request_inputs.connection(random)
    head = random.choice(_HEADS)
    if random.random() < 0.1:  # as long as is looked at, and a little more or less
        size = MAX_HELLO - len(head) + random.randint(-2, 2)
        return head.replace(b"\r\n\r\n", b"\r\nA: ") + random.choice((b"x", b" ", b"\n")) * size
    return head + random.choice((b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"))


def _hello(random: Random) -> bytes:
    hello = _real(random.randrange(4)) if random.random() < 0.5 else _built(random)
    if random.random() < 0.3:
        hello = in_records(hello, random.choice((1, 2, 4, 5, 100, 16384)))
    return hello + random.choice((b"", b"", b"\x17\x03\x03", hello))


@lru_cache
def _real(number: int) -> bytes:
    """As OpenSSL writes it. Its random bytes are the same for the whole run."""
    alpn = (["h2", "http/1.1"], [], ["h2"], ["http/1.1"])[number]
    return real_hello("api.example" if number else None, alpn)


def _built(random: Random) -> bytes:
    parts = [
        random.choice(
            (
                named((random.choice((0, 0, 7)), random.choice(_NAMES))),
                named((0, b"a.example"), (0, b"b.example")),
                extension(16, b"\x00\x03\x02h2"),
                extension(16, random.randbytes(random.randint(0, 6))),
                extension(
                    random.choice((5, 0x1A1A, 43, 51)), random.randbytes(random.randint(0, 9))
                ),
                extension(21, bytes(random.choice((0, 500, MAX_HELLO - 200)))),
            )
        )
        for _ in range(random.randint(0, 4))
    ]
    ciphers = random.choice((b"\x13\x01", b"", b"\x3a\x3a\x13\x01", b"\x13"))
    return built(b"".join(parts)[: 2**15], ciphers)
