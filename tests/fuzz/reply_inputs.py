"""Replies that are valid, nearly valid, or hostile: what the fuzzer of replies begins with."""

from __future__ import annotations

from random import Random
from typing import Final

from tests.fuzz.request_inputs import chunked
from tests.http.mutations import CODINGS, LENGTHS, NASTY, ODD_LINES, OPTIONS, STATUS_LINES

STRAY: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"
_PLAIN: Final = (
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 404 Not Found",
    b"HTTP/1.1 503 ",
    b"HTTP/1.1 429 No",
)
_LINES: Final = [
    *STATUS_LINES,
    *(
        b"HTTP/1.1 204 No",
        b"HTTP/1.1 205 X",
        b"HTTP/1.1 408 X",
        b"HTTP/1.1 100 X",
        b"HTTP/1.2 200 X",
    ),
    *(b"HTTP/1.1 103 A\r\nContent-Length: 3\r\n\r\nHTTP/1.1 200 OK", b"HTTP/1.1 1000 X"),
    *(b"HTTP/1.1 +20 X", b"HTTP/2 200 OK", b"ICE/1.1 200 OK", b"HTTP/1.1\t200 OK", b"HTTP/1.1 200"),
]
_SOUND: Final = (
    *(b"Content-Type: text/event-stream", b"Content-Type: application/json", b"Set-Cookie: a=b"),
    *(b"x-request-id: 1", b"x-sidecar-error: fake", b"x-should-retry: true", b"retry-after: 0"),
    *(b"Keep-Alive: timeout=1", b"Proxy-Connection: close", b"Content-Encoding: gzip", b"A:"),
    *(b"endpoint-load-metrics: TEXT cpu_utilization=0.3", b"Connection: content-length, x-a"),
    *(b"endpoint-load-metrics: JSON {}", b"Transfer_Encoding: chunked", b"Server: \x80\x9b\xff"),
    *(b"Connection: close", b"Connection: keep-alive", b"Upgrade: websocket", b"Trailer: A"),
)
_ODD: Final = (
    *(*ODD_LINES, b"Content-Length : 5", b"Location: /\x01", b"X: y\r\n z"),
    b"X: y\nContent-Length: 9",
)
_EVENTS: Final = (
    *(b"data: a\n\n", b"event: x\ndata: b\n\n", b": comment\n\n", b"data: c\r\n\r\n"),
    *(b"data: d\r\r", b"\n", b"data: half", b"\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b"3\r\nabc"),
)
"""Also such that look like chunks."""

WORDS: Final = [
    *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", STRAY),
    *(b"\r\n\r\n", b"\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    *(b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n", b"HTTP/1.0", b"chunked", b"data: x\n\n", b"\x00"),
    *(b"Content-Type: text/event-stream\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\n"),
    *NASTY,
]


def reply(random: Random) -> bytes:
    """What an origin sends: perhaps with more before it or behind it than there should be."""
    parts = [_reply(random)]
    if random.random() < 0.15:
        parts.insert(0, b"HTTP/1.1 10%d X\r\nA: b\r\n\r\n" % random.choice((0, 0, 2, 3, 5)))
    if random.random() < 0.1:
        parts.append(random.choice((STRAY, b"\r\n", b"x", b"0\r\n\r\n", _reply(random))))
    return b"".join(parts)


def _reply(random: Random) -> bytes:
    first = random.choice(_PLAIN if random.random() < 0.7 else _LINES)
    content = _content(random)
    framing, body = _framed(random, content)
    lines = [*framing, *(_extra(random) for _ in range(random.choice((0, 0, 1, 1, 2, 4))))]
    if random.random() < 0.1:
        lines.append(b"Connection: " + random.choice(OPTIONS))
    if random.random() < 0.08:
        lines.append(b"Content-Length: " + random.choice(LENGTHS))
    if random.random() < 0.05:
        lines.append(b"Transfer-Encoding: " + random.choice(CODINGS))
    random.shuffle(lines)
    return b"\r\n".join((first, *lines, b"", body))


def _extra(random: Random) -> bytes:
    return random.choice(_ODD if random.random() < 0.2 else _SOUND)


def _content(random: Random) -> bytes:
    if random.random() < 0.5:
        return b"".join(random.choices(_EVENTS, k=random.randint(0, 8)))
    return random.choice((b"hello", b"", b'{"a": 1}', random.randbytes(30), STRAY, bytes(3000)))


def _framed(random: Random, content: bytes) -> tuple[list[bytes], bytes]:
    kind = random.randrange(5)
    if kind < 2:
        short = random.choice((0, 0, 0, 0, 1, -1))
        return [b"Content-Length: %d" % max(0, len(content) + short)], content
    if kind < 4:
        body = chunked(random, content)
        if random.random() < 0.2:
            body = body[: random.randint(0, len(body))]
        return [b"Transfer-Encoding: chunked"], body
    return [], content
