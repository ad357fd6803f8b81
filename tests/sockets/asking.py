"""Calls that ask a model, and its replies, for tests of what saves calls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from tests.sockets.peers import EVENTS, Peer, Reply, chunk, ok
from tests.sockets.stage import Stage

END: Final = b"0\r\n\r\n"
ANSWER: Final = {
    "id": "c1",
    "object": "chat.completion",
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
}
BODY: Final = json.dumps(ANSWER).encode()
WHOLE: Final = ok(BODY, b"Content-Type: application/json")
TEXT: Final = (
    b'data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n',
    b'data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b'data: {"id":"c1","model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5}}'
    b"\n\n",
    b"data: [DONE]\n\n",
)
STREAM: Final = EVENTS + b"".join(map(chunk, TEXT)) + END


def asks(body: Mapping[str, object] | None = None, **headers: str) -> bytes:
    """A call whose answer repeats."""
    content = json.dumps({"model": "m", "temperature": 0, "messages": [], **(body or {})}).encode()
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"{lines}Content-Length: {len(content)}\r\n\r\n"
    ).encode() + content


async def taken(server: Peer) -> bytes:
    """The head of a request whose body is taken as well."""
    head = await server.head()
    size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while size:
        size -= len(await server.receives(size))
    return head


class Asking:
    """A client and the endpoint's end of its calls, one after another."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._client: Peer | None = None
        self._server: Peer | None = None

    async def client(self) -> Peer:
        if self._client is None:
            self._client = await self.stage.client()
        return self._client

    async def upstream(self) -> bytes:
        """The next call arrives at the endpoint: its head."""
        if self._server is None or not (data := await self._server.receives()):
            self._server = await self.stage.accepts()
        else:
            self._server.unread = data + self._server.unread
        return await taken(self._server)

    async def answers(self, data: bytes) -> None:
        assert self._server is not None
        await self._server.sends(data)

    async def miss(self, request: bytes, answer: bytes = WHOLE) -> Reply:
        """A call that the endpoint answers."""
        client = await self.client()
        await client.sends(request)
        await self.upstream()
        await self.answers(answer)
        return await client.reply("POST")

    async def hit(self, request: bytes) -> Reply:
        """A call that it does not see."""
        client = await self.client()
        before = sum(self.stage.endpoint.attempts.values())
        await client.sends(request)
        reply = await client.reply("POST")
        assert sum(self.stage.endpoint.attempts.values()) == before
        return reply
