"""A sidecar in this process, between raw clients and servers.

When a `Stage` is over, all that was held for its calls must be released: whichever test it is,
whatever went wrong in it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Self, TypeVar

from sidecar.config.load import load
from sidecar.control.serving import Serving
from sidecar.http.request_parser import RequestParser
from sidecar.http.response_parser import ResponseParser
from sidecar.listen.downstream import DownstreamConnection
from sidecar.listen.intercept.tunnel import Tunnel
from sidecar.listen.listener import Listener
from sidecar.observe.stats import EndpointStats, RouteStats, Stats
from sidecar.proxy.body.body import RequestBody
from sidecar.proxy.call import Call
from sidecar.proxy.exchange.exchange import Exchange
from sidecar.upstream.connect.connection import UpstreamConnection
from sidecar.upstream.endpoints.endpoint import Endpoint
from tests.sockets.peers import GET, OK, WAIT, Peer, Server

FREED: Final = (
    Call,
    DownstreamConnection,
    Exchange,
    RequestBody,
    RequestParser,
    ResponseParser,
    Tunnel,
    UpstreamConnection,
)
"""What must be freed as soon as it is over, without the garbage collector."""
T = TypeVar("T")
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
        intercept: Section | None = None,
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
            "policies": {
                # Retries have tests of their own; the others see what each attempt comes to.
                "default": {"timeouts": timeouts or {}, "retry": {"max": 0}, **(policy or {})}
            },
            "intercept": intercept or {},
            "access_log": {"path": None},
            "admin": {"address": None},
        }
        self.serving: Serving
        self.clients: list[Peer] = []
        self.errors: list[str] = []
        self.tasks: set[asyncio.Task[Any]] = set()
        self._looks_for_garbage = False

    async def __aenter__(self) -> Self:
        if gc.isenabled():  # not while another stage goes on
            gc.disable()
            gc.freeze()
            self._looks_for_garbage = True
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
                await asyncio.sleep(0)  # what a callback of this step still holds is let go of
                assert not self._looks_for_garbage or not (garbage := _garbage()), garbage
        finally:
            if self._looks_for_garbage:
                gc.unfreeze()
                gc.enable()
            await self.serving.drain(0)
        assert kind is not None or not self.errors, self.errors

    async def apply(self) -> None:
        """Serve `config` as it is now."""
        await self.serving.apply(load(json.dumps(self.config), file="stage.yaml"))

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
        held += [
            f"{each.load.in_flight} places at, {each.load.unanswered} answers of {each.name}"
            for each in self.endpoints
            if each.load.in_flight or each.load.unanswered
        ]
        held += [
            f"a pause without an owner: {connection.stray_pauses}"
            for listener in self.serving.listeners.values()
            for connection in listener.connections
            if connection.stray_pauses
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


def _garbage() -> list[str]:
    """What only the garbage collector can free of what calls and connections are made of."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return [repr(found) for found in gc.garbage if isinstance(found, FREED)]
    finally:
        gc.garbage.clear()
        gc.set_debug(0)


async def fails(stage: Stage, client: Peer, status: int, code: str) -> None:
    """*client* is told *code*; nothing is held then, and its connection can be used again."""
    reply = await client.reply()
    assert (reply.status, reply.code) == (status, code)
    assert json.loads(reply.body)["error"]["code"] == code
    await stage.is_at_rest()
    assert stage.endpoint.errors == {code: 1}
    assert stage.route.errors == {code: 1}
