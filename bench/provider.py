"""Traffic as providers have it: heads of an SDK going there, of a provider coming back, all new.

A head that repeats is cheap for whoever remembers heads. Those of real calls never repeat: each has
its own trace and idempotency key, and each reply its own ids, cookies, times and limits.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from bench import messages

SDK: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Authorization": f"Bearer {messages.KEY}",
    "Content-Type": "application/json",
    "User-Agent": "OpenAI/Python 2.8.1",
    "X-Stainless-Arch": "x64",
    "X-Stainless-Async": "false",
    "X-Stainless-Lang": "python",
    "X-Stainless-OS": "Linux",
    "X-Stainless-Package-Version": "2.8.1",
    "X-Stainless-Read-Timeout": "600",
    "X-Stainless-Retry-Count": "0",
    "X-Stainless-Runtime": "CPython",
    "X-Stainless-Runtime-Version": "3.11.7",
}
"""What the openai SDK for Python sends in each call, but for the host and the length."""
HEADERS: Final = {
    **SDK,
    "Idempotency-Key": "stainless-python-retry-{key}",
    "traceparent": "00-{trace}-{span}-01",
}
"""What it sends, with what is new in each call (in braces), and its caller's trace."""
HEX: Final = {"key": 32, "trace": 32, "span": 16}
"""How many hexadecimal digits stand for a name in braces."""


def requests(host: str, content: bytes) -> Callable[[], bytes]:
    """What makes a call with the body *content*, each time with a new head."""
    lines = messages.request_lines(HEADERS, host, content)
    template = "\r\n".join(lines) + "\r\n\r\n"
    for name, digits in HEX.items():
        template = template.replace(f"{{{name}}}", f"%0{digits}x")
    # The order of the fields in the head: that of HEADERS.
    encoded, bits = template.encode(), random.getrandbits

    def make() -> bytes:
        return encoded % (bits(128), bits(128), bits(64)) + content

    return make


_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\n"
    b"Date: %b\r\n"
    b"Connection: %b\r\n"
    b"access-control-expose-headers: X-Request-ID\r\n"
    b"openai-organization: bench-llc\r\n"
    b"openai-processing-ms: %d\r\n"
    b"openai-project: proj_Jw7fHnGgdyT1dyTbVkF3m0aQ\r\n"
    b"openai-version: 2020-10-01\r\n"
    b"x-envoy-upstream-service-time: %d\r\n"
    b"x-ratelimit-limit-requests: 10000\r\n"
    b"x-ratelimit-limit-tokens: 30000000\r\n"
    b"x-ratelimit-remaining-requests: %d\r\n"
    b"x-ratelimit-remaining-tokens: %d\r\n"
    b"x-ratelimit-reset-requests: %dms\r\n"
    b"x-ratelimit-reset-tokens: %dms\r\n"
    b"x-request-id: req_%032x\r\n"
    b"cf-cache-status: DYNAMIC\r\n"
    b"Set-Cookie: __cf_bm=%064x-1741570283-1.0.1.1; path=/; expires=%b; "
    b"domain=.llm.bench; HttpOnly; Secure; SameSite=None\r\n"
    b"strict-transport-security: max-age=31536000; includeSubDomains; preload\r\n"
    b"X-Content-Type-Options: nosniff\r\n"
    b"Server: cloudflare\r\n"
    b"CF-RAY: %016x-FRA\r\n"
    b'alt-svc: h3=":443"; ma=86400\r\n'
)


class Heads:
    """Makes reply heads, up to the lines on the content."""

    def __init__(self) -> None:
        self._second = 0
        self._date = self._expires = b""

    def make(self, connection: bytes = b"keep-alive") -> bytes:
        """A new one; *connection* is what it says of the connection."""
        bits = random.getrandbits
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._date, self._expires = (
                formatdate(second, usegmt=True).encode() for second in (now, now + 1800)
            )
        few = bits(10)
        return _HEAD % (
            self._date,
            connection,
            few + 200,
            few + 203,
            9999 - (few & 255),
            29_990_000 + few,
            few & 255,
            few >> 2,
            bits(128),
            bits(256),
            self._expires,
            bits(64),
        )
