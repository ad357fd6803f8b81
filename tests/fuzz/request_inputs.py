"""Requests that are valid, nearly valid, or hostile: what the fuzzer of requests begins with."""

from __future__ import annotations

import json
from random import Random
from typing import Final

from tests.http.mutations import (
    CODINGS,
    HOSTS,
    LENGTHS,
    NASTY,
    ODD_LINES,
    OPTIONS,
    REQUEST_LINES,
)

LURE: Final = b"GET /lure HTTP/1.1\r\nHost: lure\r\n\r\n"
_LINES: Final = [
    *REQUEST_LINES,
    *(b"POST /v1/chat/completions HTTP/1.1", b"PUT /stream/x HTTP/1.1", b"QUERY /q HTTP/1.1"),
    *(b"GET /a%2f..%2fb HTTP/1.1", b"GET /a/../b HTTP/1.1", b"GET //x HTTP/1.1", b"get / HTTP/1.1"),
    *(b"HEAD /stream HTTP/1.1", b"TRACE / HTTP/1.1", b"DELETE /a;b?c#d HTTP/1.1"),
    *(b"GET https://b/c HTTP/1.1", b"GET /%zz?%00 HTTP/1.1", b"GET /\xc3\xa9 HTTP/1.1"),
]
_PLAIN_LINES: Final = (
    *(b"GET /v1/models HTTP/1.1", b"POST /v1/chat/completions HTTP/1.1"),
    *(b"POST /stream/upload HTTP/1.1", b"HEAD / HTTP/1.1", b"PUT /x?y=z HTTP/1.1"),
)
_SOUND: Final = (
    *(b"x-sidecar-timeout: 5s", b"X-SIDECAR-NO-RETRY: 1", b"x-sidecar-a: b", b"X-Request-Id: abc"),
    *(b"traceparent: 00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01", b"tracestate: a=b,c=d"),
    *(b"Authorization: Bearer key", b"Proxy-Authorization: Basic x", b"Proxy-Connection: close"),
    *(b"Keep-Alive: 5", b"HTTP2-Settings: AA", b"User-Agent: \x9b31m", b"User-Agent: \xe2\x80\xae"),
    *(b"Cookie: a=b", b"Content-Encoding: gzip", b"TE: trailers", b"Content_Length: 5", b"A:"),
    *(b"Transfer_Encoding: chunked", b"Max-Forwards: 0", b"Expect: 100-continue", b"Trailer: A"),
    *(b"Content-Type: application/json", b"content-type: text/plain", b"Upgrade: h2c, websocket"),
    *(b"x-forwarded-for: 1.2.3.4", b"X-Stainless-Retry-Count: 1", b"Date: \t", b"X-A: \xff"),
    *(
        b"Connection: close",
        b"Connection: keep-alive, x-a",
        b"Upgrade: websocket",
        b"A:  \t b\tc \t",
    ),
)
_ODD: Final = (
    *(*ODD_LINES, b"x-sidecar-route: r", b"Content-Length : 0", b"Transfer-Encoding : chunked"),
    *(b"X: y\r\n folded", b"X: y\nContent-Length: 9", b"Expect: x", b"Host: evil"),
)
_SPACES: Final = (b" ", b" ", b" ", b"", b"\t", b"  ")
_SIZES: Final = (
    b"%x",
    b"%x",
    b"%X",
    b"0%x",
    b"%x;a=b",
    b'%x;a="\r"',
    b"%x ",
    b" %x",
    b"0x%x",
    b"+%x",
)
_MODELS: Final = ("m", "alias", "gpt-4.1", "m\u202e", "\u009b", "é" * 9, "m" * 300)

WORDS: Final = [
    *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"),
    *(b"\r\n\r\n", b"\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b" HTTP/1.1\r\n", b"HTTP/1.0", LURE),
    *(b"Host: a\r\n", b"chunked", b"Expect: 100-continue\r\n", b"Connection: upgrade\r\n"),
    *(b"Upgrade: websocket\r\n", b"\xef\xbb\xbf", b"\x00", b"/../", b"%2e%2e", b"x-sidecar-"),
    *(b'{"model": "m", "stream": true}', b"\xff\xfe", b"HEAD ", b"CONNECT a:1 HTTP/1.1"),
    *NASTY,
]


def connection(random: Random) -> bytes:
    """What one caller sends: a request or a few."""
    parts = [_request(random)]
    while random.random() < 0.3 and len(parts) < 4:
        parts.append(_request(random) if random.random() < 0.6 else LURE)
    return b"".join(parts)


def _request(random: Random) -> bytes:
    plain = random.random() < 0.7
    first = random.choice(_PLAIN_LINES if plain else _LINES)
    framing, body = _body(random)
    lines = [b"Host: a" if random.random() < 0.9 else b"Host: " + random.choice(HOSTS), *framing]
    lines += [extra(random) for _ in range(random.choice((0, 0, 1, 1, 2, 4)))]
    if random.random() < 0.2:
        lines.append(_field(random, b"Connection", OPTIONS))
    if random.random() < 0.1:
        lines.append(_framing_field(random))
    if random.random() < 0.05:
        lines += [b"A: b"] * random.choice((100, 126, 127, 128, 129, 300))
    random.shuffle(lines)
    return b"\r\n".join((first, *lines, b"", body))


def extra(random: Random) -> bytes:
    """A header line, which is mostly valid."""
    return random.choice(_ODD if random.random() < 0.2 else _SOUND)


def _field(random: Random, name: bytes, values: list[bytes]) -> bytes:
    return name + b":" + random.choice(_SPACES) + random.choice(values)


def _framing_field(random: Random) -> bytes:
    if random.random() < 0.5:
        return _field(random, b"Content-Length", LENGTHS)
    return _field(random, b"Transfer-Encoding", CODINGS)


def _body(random: Random) -> tuple[list[bytes], bytes]:
    kind = random.choice((0, 1, 1, 2, 2, 3))
    if kind == 0:
        return [], b""
    content = _content(random)
    if kind == 1:
        return [b"Content-Length: %d" % len(content)], content
    if kind == 2:
        return [b"Transfer-Encoding: chunked"], chunked(random, content)
    return [_framing_field(random)], random.choice((content, chunked(random, content)))


def _content(random: Random) -> bytes:
    kind = random.randrange(5)
    if kind == 0:
        return random.choice((b"hello", b"5", LURE, b"0\r\n\r\n" + LURE))
    if kind == 1:
        return random.randbytes(random.choice((1, 9, 300)))
    said = {"model": random.choice(_MODELS), "stream": random.choice((True, False, 1, None))}
    text = json.dumps(said, ensure_ascii=random.random() < 0.5)
    if kind == 2:
        text = text[:-1] + ', "model": "twice"}'
    return text.encode(random.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16")))


def chunked(random: Random, content: bytes) -> bytes:
    """*content* in chunks that are written well, mostly."""
    parts = []
    while content:
        size = random.choice((1, 3, 16, len(content)))
        piece, content = content[:size], content[size:]
        spelled = random.choice(_SIZES if random.random() < 0.1 else _SIZES[:1])
        parts.append(spelled % len(piece) + b"\r\n" + piece + b"\r\n")
    trailers = b"".join(extra(random) + b"\r\n" for _ in range(random.choice((0, 0, 0, 1, 2))))
    return b"".join((*parts, b"0\r\n", trailers, b"\r\n"))
