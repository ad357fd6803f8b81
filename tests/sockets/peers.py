"""The two ends of a dialogue through a sidecar: raw sockets, so that each byte counts."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import h11

WAIT: Final = 5.0
"""Seconds that a peer waits for the other before its test fails."""
GET: Final = b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"
POST: Final = b"POST /v1/chat HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED: Final = b"POST /v1/chat HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED_OK: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_RESET: Final = struct.pack("ii", 1, 0)


async def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Wait until *condition* holds."""
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, f"{what} did not come about"
        await asyncio.sleep(0.002)


def post(size: int) -> bytes:
    """Head of a request with *size* bytes of body."""
    return b"POST /v1/chat HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size


def ok(body: bytes, *lines: bytes) -> bytes:
    """A whole reply."""
    head = b"\r\n".join((b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *lines))
    return head + b"\r\n\r\n" + body


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def masked(head: bytes) -> bytes:
    """*head* with the ids that differ each time written `ID` (trace, request) and `SPAN`."""
    spans = re.sub(rb"-[0-9a-f]{16}-", b"-SPAN-", head)
    return re.sub(rb"[0-9a-f]{32}", b"ID", spans)


@dataclass
class Reply:
    """A reply as h11 understands it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    interim: list[int] = field(default_factory=list)

    def __getitem__(self, name: str) -> str:
        """The one value of header *name*, or an empty string."""
        found = [value for key, value in self.headers if key == name.encode()]
        assert len(found) < 2, f"{name} came {len(found)} times"
        return found[0].decode() if found else ""

    @property
    def code(self) -> str:
        """What of ours failed."""
        return self["x-sidecar-error"]


class Peer:
    """One end of a connection. Nothing is read unless it is asked for."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.unread = b""
        """Received, but not looked at yet."""
        self._loop = asyncio.get_running_loop()

    async def sends(self, data: bytes) -> None:
        async with asyncio.timeout(WAIT):
            await self._loop.sock_sendall(self.sock, data)

    async def floods(self, data: bytes = bytes(2**18), most: int = 2**26) -> int:
        """Send *data* again and again until nobody takes more: how much was taken."""
        sent = full = 0
        while full < 20:  # not taken for so many turns of the loop
            try:
                sent += self.sock.send(data[sent % len(data) :])
                full = 0
            except BlockingIOError:
                full += 1
                await asyncio.sleep(0.002)
            assert sent < most, "no back-pressure"
        return sent

    async def talks(self, says: Callable[[], bytes], pace: float = 0.0) -> None:
        """Send what *says* returns, every *pace* seconds, until the other side has gone."""
        with contextlib.suppress(ConnectionError):
            while True:
                await self.sends(says())
                await asyncio.sleep(pace)

    async def drains(self, size: int, pace: float = 0.0, step: int = 2**20) -> None:
        """Read *size* bytes, with a break of *pace* seconds after each *step* bytes."""
        while size:
            came = len(await self.receives(min(step, size)))
            assert came, f"the connection ended {size} bytes short"
            size -= came
            await asyncio.sleep(pace)

    async def receives(self, size: int = 65536) -> bytes:
        """What comes next, at most *size* bytes; nothing at the end."""
        if self.unread:
            data, self.unread = self.unread[:size], self.unread[size:]
            return data
        try:
            async with asyncio.timeout(WAIT):
                return await self._loop.sock_recv(self.sock, size)
        except TimeoutError:
            raise AssertionError("nothing came") from None

    async def silent(self, seconds: float) -> bool:
        """Whether nothing comes for *seconds*."""
        try:
            async with asyncio.timeout(seconds):
                self.unread += await self._loop.sock_recv(self.sock, 65536)
        except TimeoutError:
            return not self.unread
        return False

    async def until(self, mark: bytes) -> bytes:
        """All that comes up to *mark*, which it includes."""
        data = b""
        while mark not in data:
            more = await self.receives()
            assert more, f"the connection ended without {mark!r}, after {data[-500:]!r}"
            data += more
        end = data.index(mark) + len(mark)
        self.unread = data[end:] + self.unread
        return data[:end]

    async def head(self) -> bytes:
        return await self.until(b"\r\n\r\n")

    async def gets(self, data: bytes) -> None:
        """Exactly *data* comes next."""
        came = b""
        while len(came) < len(data):
            more = await self.receives(len(data) - len(came))
            assert more, f"the connection ended after {came!r}"
            came += more
            assert data.startswith(came)

    async def reply(self, method: str = "GET") -> Reply:
        """The next reply, whole."""
        conn = h11.Connection(h11.CLIENT)
        headers = [("host", "a"), ("connection", "upgrade"), ("upgrade", "x")]
        conn.send(h11.Request(method=method, target="/", headers=headers))
        conn.send(h11.EndOfMessage())
        reply, interim = Reply(0, []), []
        while True:
            event = conn.next_event()
            if event is h11.NEED_DATA:
                conn.receive_data(await self.receives())
            elif isinstance(event, h11.InformationalResponse) and event.status_code != 101:
                interim.append(event.status_code)
            elif isinstance(event, h11.Response | h11.InformationalResponse):
                reply = Reply(event.status_code, list(event.headers), interim=interim)
                if event.status_code == 101:
                    break
            elif isinstance(event, h11.Data):
                reply.body += event.data
            else:
                assert isinstance(event, h11.EndOfMessage), event
                reply.trailers = list(event.headers)
                break
        self.unread = conn.trailing_data[0] + self.unread
        return reply

    async def rest(self) -> bytes:
        """All that comes until the connection ends in order."""
        data = b""
        while more := await self.receives():
            data += more
        return data

    async def ends(self) -> None:
        """Nothing comes any more, and that is said."""
        assert await self.receives() == b""

    async def is_reset(self) -> bytes:
        """The connection ends with a reset, after what is returned."""
        data = b""
        try:
            while more := await self.receives():
                data += more
        except ConnectionResetError:
            return data
        raise AssertionError(f"an orderly end, not a reset, after {data!r}")

    async def is_cut(self) -> None:
        """The connection ends, in whatever way, after whatever was on its way."""
        with contextlib.suppress(ConnectionResetError):
            while await self.receives():
                pass

    def half_closes(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def closes(self) -> None:
        self.sock.close()

    def resets(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.sock.close()


class Server:
    """A listening socket, whose connections a test takes one by one."""

    def __init__(
        self,
        backlog: int = 128,
        host: str = "127.0.0.1",
        port: int = 0,
        window: int | None = None,
    ) -> None:
        self.sock = socket.create_server((host, port), backlog=backlog)
        if window is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.sock.setblocking(False)
        self.port: int = self.sock.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.peers: list[Peer] = []

    async def accepts(self) -> Peer:
        try:
            async with asyncio.timeout(WAIT):
                sock, _ = await asyncio.get_running_loop().sock_accept(self.sock)
        except TimeoutError:
            raise AssertionError("nobody connected") from None
        peer = Peer(sock)
        self.peers.append(peer)
        return peer

    async def fills(self) -> None:
        """Make its backlog full, so that who connects next is not answered."""
        while True:
            sock = socket.socket()
            self.peers.append(Peer(sock))
            try:
                async with asyncio.timeout(0.1):
                    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
            except TimeoutError:
                return

    def closes(self) -> None:
        self.sock.close()
        for peer in self.peers:
            peer.closes()
