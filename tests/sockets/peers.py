"""The two ends of a dialogue through a sidecar: raw sockets, so that each byte counts.

A `Stage` runs a sidecar in this process. `client` and `accepts` give its ends. When it is over, all
that was held for them must be released: whichever test it is, whatever went wrong in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import socket
import struct
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeVar

import h11

from sidecar.config.load import load
from sidecar.control.serving import Serving
from sidecar.listen.listener import Listener
from sidecar.observe.stats import EndpointStats, RouteStats, Stats
from sidecar.upstream.endpoint import Endpoint

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
T = TypeVar("T")
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


Section = Mapping[str, object]


class Stage:
    """A sidecar between a client and a server, with one upstream `u` and one route to it.

    The arguments are sections of its configuration. *listeners*, *upstreams* and *routes* replace
    the usual ones.
    """

    def __init__(
        self,
        *,
        timeouts: Section | None = None,
        policy: Section | None = None,
        pool: Section | None = None,
        upstream: Section | None = None,
        listener: Section | None = None,
        listeners: Sequence[Section] | None = None,
        upstreams: Section | None = None,
        routes: Sequence[Section] | None = None,
        servers: Sequence[Server] = (),
    ) -> None:
        self.servers = list(servers) or [Server()]
        self.server = self.servers[0]
        self.stats = Stats(0.0)
        endpoints = [{"url": server.url} for server in self.servers]
        usual = {"endpoints": endpoints, "pool": pool or {}, **(upstream or {})}
        self.config: dict[str, Any] = {
            "listeners": listeners or [{"address": "127.0.0.1:0", **(listener or {})}],
            "upstreams": upstreams or {"u": usual},
            "routes": routes or [{"name": "r", "upstream": "u"}],
            "policies": {"default": {"timeouts": timeouts or {}, **(policy or {})}},
            "access_log": {"path": None},
            "admin": {"address": None},
        }
        self.serving: Serving
        self.clients: list[Peer] = []
        self.errors: list[str] = []
        self.tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: self.errors.append(repr(context))
        )
        self._handler = logging.Handler(logging.ERROR)
        self._handler.emit = lambda record: self.errors.append(  # type: ignore[method-assign]
            logging.Formatter().format(record)
        )
        logging.getLogger("sidecar").addHandler(self._handler)
        self.serving = Serving(self.stats)
        await self.apply()
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        logging.getLogger("sidecar").removeHandler(self._handler)
        for peer in self.clients:
            peer.closes()
        for server in self.servers:
            server.closes()
        try:
            if kind is None:
                await self.is_empty()
        finally:
            await self.serving.drain(0)
        assert kind is not None or not self.errors, self.errors

    async def apply(self) -> None:
        """Serve `config` as it is now."""
        await self.serving.apply(load(json.dumps(self.config), file="stage.yaml").config)

    # -- the ends --

    async def client(self, *, window: int | None = None) -> Peer:
        """A new connection to the sidecar. *window*: how many bytes wait unread at our end."""
        return await self.connects(("127.0.0.1", self.listener().port), window=window)

    async def connects(
        self, address: Any, family: int = socket.AF_INET, window: int | None = None
    ) -> Peer:
        sock = socket.socket(family)
        sock.setblocking(False)
        if window is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        peer = Peer(sock)
        self.clients.append(peer)
        await asyncio.get_running_loop().sock_connect(sock, address)
        return peer

    async def accepts(self) -> Peer:
        """The next connection that the sidecar makes."""
        return await self.server.accepts()

    async def call(self, request: bytes = GET) -> tuple[Peer, Peer]:
        """Both ends of a new call, whose head the server has read."""
        client = await self.client()
        await client.sends(request)
        server = await self.accepts()
        await server.head()
        return client, server

    def begins(self, act: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Let *act* go on beside the dialogue."""
        task = asyncio.create_task(act)
        self.tasks.add(task)
        return task

    async def answered(self, client: Peer, request: bytes = GET) -> Peer:
        """Carry a call on *client*; the server's end of it, which is idle then."""
        await client.sends(request)
        server = await self.accepts()
        await server.until(request[-4:])
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"
        return server

    async def answered_again(self, client: Peer, server: Peer) -> None:
        """Carry one more call on both connections."""
        await client.sends(GET)
        assert b"GET /v1/models" in await server.head()
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"

    # -- what the sidecar holds --

    def listener(self, index: int = 0) -> Listener:
        return list(self.serving.listeners.values())[index]

    @property
    def endpoints(self) -> list[Endpoint]:
        return [e for u in self.serving.snapshot.upstreams.values() for e in u.endpoints()]

    @property
    def endpoint(self) -> EndpointStats:
        return self.endpoints[0].stats

    @property
    def route(self) -> RouteStats:
        return next(iter(self.stats.routes.values()))

    @property
    def busy(self) -> list[str]:
        """What is held for calls."""
        held = [
            f"{count} calls of {key}"
            for key, route in self.stats.routes.items()
            if (count := route.in_flight)
        ]
        for (_, name), stats in self.stats.endpoints.items():
            held += [
                f"{count} {what} {name}"
                for what, count in {
                    "attempts at": stats.in_flight,
                    "waiting for": stats.waiting,
                    "connections not idle to": stats.open - stats.idle,
                }.items()
                if count
            ]
        tasks = asyncio.all_tasks() - {asyncio.current_task(), *self.tasks}
        return held + [repr(task) for task in tasks]

    async def is_at_rest(self) -> None:
        """No call is being carried, and nothing is held for one; connections may be idle."""
        await self._holds(lambda: not self.busy)

    async def is_empty(self) -> None:
        """At rest, and no connection is open on either side."""

        def empty() -> bool:
            opened = sum(stats.open for stats in self.stats.endpoints.values())
            accepted = sum(stats.open for stats in self.stats.listeners.values())
            return not self.busy and not opened and not accepted

        await self._holds(empty)

    async def _holds(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + WAIT
        while not condition():
            listeners = {k: v.open for k, v in self.stats.listeners.items()}
            opened = {k: v.open for k, v in self.stats.endpoints.items()}
            assert time.monotonic() < end, f"held: {self.busy}, {listeners}, {opened}"
            await asyncio.sleep(0.002)
