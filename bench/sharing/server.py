"""A provider with one quota: buckets of requests and tokens that refill continuously.

`python -m bench.sharing.server REQUESTS TOKENS LEVEL` listens on a loopback port, which it prints,
and serves until it is ended. REQUESTS and TOKENS are a minute's, and LEVEL is the share of these
that is there at first. The replies to calls tell the levels as OpenAI's do. A GET returns what was
asked so far, as JSON: for each call the monotonic time, the client, whether it was answered, and
its tokens.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import re
import sys
import time
from typing import Any, Final, cast

from bench.quota import Provider
from bench.sharing import CLIENT

_LATENCY: Final = 0.5
"""Seconds, within a factor of two or so."""
_HEAD: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_CLIENT: Final = re.compile(rb"\r\n%b: *([0-9]+)\r\n" % CLIENT.encode(), re.IGNORECASE)


class Book:
    """The quota, and what was asked."""

    def __init__(self, requests: float, tokens: float, level: float) -> None:
        self.provider = Provider({"requests": requests, "tokens": tokens})
        for kind in self.provider.limits:
            self.provider.levels[kind] *= level
        self.chance = random.Random(1)
        self.began = time.monotonic()
        self.asked: list[tuple[float, int, bool, float]] = []

    def ask(self, client: int) -> tuple[bytes, float]:
        """Return the reply to a call, and the seconds until it is to be sent."""
        now = time.monotonic()
        tokens = round(self.chance.lognormvariate(math.log(1000), 0.6))
        answered = self.provider.take(now - self.began, {"requests": 1.0, "tokens": tokens})
        self.asked.append((now, client, answered, tokens))
        if answered:
            usage = {"prompt_tokens": 200, "completion_tokens": max(1, tokens - 200)}
            choice = {"index": 0, "message": {"content": "yes"}, "finish_reason": "stop"}
            body: dict[str, Any] = {"id": "chatcmpl-1", "object": "chat.completion", "model": "m"}
            body |= {"choices": [choice], "usage": usage}
            return self._reply(b"200 OK", now, body), self.chance.lognormvariate(
                math.log(_LATENCY), 0.5
            )
        error = {"message": "Rate limit reached", "type": "tokens", "code": "rate_limit_exceeded"}
        lacking = [
            (1 - self.provider.levels["requests"]) / self.provider.limits["requests"],
            (tokens - self.provider.levels["tokens"]) / self.provider.limits["tokens"],
        ]
        after = b"retry-after-ms: %d\r\n" % math.ceil(max(lacking) * 60_000)
        return self._reply(b"429 Too Many Requests", now, {"error": error}, after), 0.0

    def _reply(self, status: bytes, now: float, body: object, more: bytes = b"") -> bytes:
        content = json.dumps(body).encode()
        lines = b"".join(
            b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %d\r\n"
            b"x-ratelimit-reset-%b: %dms\r\n"
            % (kind.encode(), limit, kind.encode(), max(0, left), kind.encode(), 1000 * reset)
            for kind, (limit, left, reset) in self.provider.tell(now - self.began).items()
        )
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        return head % (status, len(content)) + more + lines + b"\r\n" + content


class Server(asyncio.Protocol):
    """One connection, without pipelining."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        length = _HEAD.search(self._data)
        if len(self._data) < end + (0 if length is None else int(length[1])):
            return
        request, self._data = self._data, b""
        if request.startswith(b"GET "):
            content = json.dumps(self._book.asked).encode()
            head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(content)
            self._transport.write(head + content)
            return
        client = _CLIENT.search(request)
        reply, after = self._book.ask(-1 if client is None else int(client[1]))
        asyncio.get_running_loop().call_later(after, self._transport.write, reply)


async def _serve(requests: float, tokens: float, level: float) -> None:
    book = Book(requests, tokens, level)
    server = await asyncio.get_running_loop().create_server(
        lambda: Server(book), "127.0.0.1", 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(*map(float, sys.argv[1:])))
