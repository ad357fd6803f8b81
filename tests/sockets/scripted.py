"""Servers that do as they are told, call by call, for tests of what the sidecar does with them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from typing import Any, Self

from sidecar.observe.numbers import Queue
from tests.sockets.peers import Peer, Server, ok
from tests.sockets.stage import Stage

Act = bytes | str
"""A reply; or `hang`, `reset`, `close`, or `wait` (until `gate` opens, then a reply)."""


class Cut(bytes):
    """A reply that breaks off: its connection is closed behind it."""


def status(code: int, *lines: bytes, body: bytes = b"no") -> bytes:
    """A whole reply of a status."""
    head = [b"HTTP/1.1 %d X" % code, b"Content-Length: %d" % len(body), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


class Scripted(Server):
    """Does the next of `acts` for each call; when there is none, answers with its name."""

    def __init__(
        self, name: str, *acts: Act, always: Act | None = None, host: str = "127.0.0.1"
    ) -> None:
        super().__init__(host=host)
        self.name = name
        self.acts = list(acts)
        self.always = always
        self.requests: list[bytes] = []
        """Heads and bodies, as they came."""
        self.gate = asyncio.Event()
        self.answer: bytes | None = None
        """After a `wait`, instead of its name."""
        self.broken = 0
        """Connections that ended while a call was under way."""
        self.tasks: set[asyncio.Task[Any]] = set()
        self._own: set[asyncio.Task[Any]] = set()

    @property
    def calls(self) -> int:
        return len(self.requests)

    def starts(self) -> None:
        self._begin(self._accept())

    def stops(self) -> None:
        for task in self._own:
            task.cancel()
        self.closes()

    async def comes_back(self) -> None:
        """Listen again where it did, as a server that was started anew."""
        await asyncio.gather(*self._own, return_exceptions=True)
        self.sock = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.sock.setblocking(False)
        self.always = None
        self.starts()

    def _begin(self, act: Any) -> None:
        task = asyncio.create_task(act)
        for tasks in (self._own, self.tasks):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            sock, _ = await loop.sock_accept(self.sock)
            peer = Peer(sock)
            self.peers.append(peer)
            self._begin(self._serve(peer))

    async def _serve(self, peer: Peer) -> None:
        loop = asyncio.get_running_loop()
        data = b""
        with contextlib.suppress(ConnectionError):
            while more := await loop.sock_recv(peer.sock, 65536):
                data += more
                while (request := _request(data)) is not None:
                    data = data[len(request) :]
                    self.requests.append(request)
                    if not await self._act(peer):
                        return

    async def _act(self, peer: Peer) -> bool:
        """Answer, or not. Whether the connection can go on."""
        act = self.acts.pop(0) if self.acts else self.always
        if act == "wait":
            await self._until_gate(peer)
            act = self.answer
        if act is None:
            act = ok(self.name.encode())
        if act == "hang":
            await self._gone(peer)
        elif act == "reset":
            peer.resets()
        elif act == "close":
            peer.closes()
        else:
            assert isinstance(act, bytes)
            await peer.sends(act)
            if isinstance(act, Cut):
                peer.closes()
                return False
        return act not in ("hang", "reset", "close")

    async def _until_gate(self, peer: Peer) -> None:
        gone = asyncio.create_task(self._gone(peer))
        gate = asyncio.create_task(self.gate.wait())
        try:
            await asyncio.wait((gone, gate), return_when=asyncio.FIRST_COMPLETED)
        finally:  # a server that stops cancels this task, but not these two
            gone.cancel()
            gate.cancel()

    async def _gone(self, peer: Peer) -> None:
        with contextlib.suppress(ConnectionError):
            while await asyncio.get_running_loop().sock_recv(peer.sock, 65536):
                pass
        self.broken += 1


def _request(data: bytes) -> bytes | None:
    """The first whole request in *data*."""
    head, end, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
    size = int(found[1]) if found else 0
    if not end or len(body) < size:
        return None
    return data[: len(head) + 4 + size]


def chat(model: str = "m", *lines: bytes, **more: Any) -> bytes:
    """A chat completion's request."""
    body = json.dumps({"model": model, "messages": [], **more}).encode()
    head = [
        b"POST /v1/chat/completions HTTP/1.1",
        b"Host: a",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
        *lines,
    ]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


class Fleet(Stage):
    """A stage whose servers are scripted and run by themselves. Attempts follow at once."""

    def __init__(self, *servers: Scripted, **sections: Any) -> None:
        policy = dict(sections.pop("policy", {}))
        retry = {"backoff": {"base": "1us", "cap": "1us"}, **policy.pop("retry", {})}
        super().__init__(servers=servers, policy={"retry": retry, **policy}, **sections)
        self.fleet = servers
        self._others: list[Scripted] = []

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        for server in (*self.fleet, *self._others):
            server.tasks = self.tasks
            server.starts()
        return self

    async def __aexit__(self, kind: object, *rest: object) -> None:
        for server in (*self.fleet, *self._others):
            server.stops()
        await super().__aexit__(kind, *rest)

    @property
    def line(self) -> Queue:
        """In front of the first upstream."""
        found = next(iter(self.stats.upstreams.values())).queue
        assert found is not None
        return found

    def beside(self, *others: Scripted) -> Self:
        """Servers of other upstreams."""
        self._others += others
        return self

    async def gets(self, request: bytes, client: Peer | None = None) -> tuple[int, bytes, Any]:
        """Status and body of the reply to *request*, and the reply."""
        client = client or await self.client()
        await client.sends(request)
        reply = await client.reply()
        return reply.status, reply.body, reply
