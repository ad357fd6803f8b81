"""The admin and health servers: aiohttp, in a thread and a loop of their own.

The thread is the point: whether the process lives is answered even while the data plane's loop is
busy. Sockets are bound by whoever starts us, so that a port in use is an error there and then;
aiohttp is imported by the thread, so that calls need not wait for it.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import socket
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import TYPE_CHECKING, Final

from sidecar.control.acceptor import Acceptor
from sidecar.control.pages import (
    Answer,
    Inspected,
    Page,
    Pages,
    Request,
    admin_pages,
    answer,
    busy,
    encode,
    health_pages,
    refuse,
    refuse_strangers,
)
from sidecar.control.slim import import_server

if TYPE_CHECKING:
    from aiohttp.web_protocol import RequestHandler
    from aiohttp.web_request import BaseRequest
    from aiohttp.web_response import Response
    from aiohttp.web_server import Server

_log: Final = logging.getLogger(__name__)
_http_log: Final = logging.getLogger(f"{__name__}.http")
"""What aiohttp says of requests, but for malformed ones."""

MAX_CONNECTIONS: Final = 64
"""For each server. The oldest goes when one more comes: whoever hoards them bars no probe."""
_SETTLED: Final = 0.01
ANSWER_WITHIN: Final = 5.0
"""Seconds that the data plane may take to answer a page."""
_IDLE: Final = 60.0
_STOP: Final = 2.0
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Server": "llm-sidecar",
    "X-Content-Type-Options": "nosniff",
}


class AdminServer:
    """Serve *inspected* at the loopback address *admin*, and its health at *health*.

    Addresses are `HOST:PORT`, None for no server. Use from one thread.
    """

    def __init__(self, inspected: Inspected, admin: str | None, health: str | None) -> None:
        self._inspected = inspected
        self._wanted = {"admin": admin, "health": health}
        self._bound: dict[str, tuple[str, socket.socket]] = {}
        self._thread: _Thread | None = None

    def start(self) -> None:
        """Return when the sockets take connections. Raise OSError when one cannot be bound."""
        self._apply(self._wanted)

    def rebind(self, admin: str | None, health: str | None) -> None:
        """Serve at other addresses. Raise OSError and change nothing when one cannot be bound.

        What is new is bound before what is old is closed, so the same port on another host is
        refused as in use.
        """
        self._apply({"admin": admin, "health": health})

    def stop(self) -> None:
        """Finish the answers that are under way and close. Takes 2 seconds at most."""
        if self._thread is not None:
            self._thread.stop()
        self._thread, self._bound = None, {}

    def port(self, name: str) -> int:
        """Tell the port that `admin` or `health` is bound to."""
        port: int = self._bound[name][1].getsockname()[1]
        return port

    def _apply(self, wanted: dict[str, str | None]) -> None:
        now = {name: address for name, (address, _) in self._bound.items()}
        changed = {name: to for name, to in wanted.items() if to != now.get(name)}
        new = _bind_all(changed)
        if self._thread is None and new:
            self._thread = _Thread(self._inspected)
        for name in changed:
            self._bound.pop(name, None)
            if self._thread is not None:
                self._thread.replace(name, new[name][1] if name in new else None)
        self._bound.update(new)


def _bind_all(addresses: dict[str, str | None]) -> dict[str, tuple[str, socket.socket]]:
    bound: dict[str, tuple[str, socket.socket]] = {}
    try:
        for name, address in addresses.items():
            if address is not None:
                bound[name] = (address, _bind(address, loopback=name == "admin"))
    except OSError:
        for _, made in bound.values():
            made.close()
        raise
    return bound


def _bind(address: str, *, loopback: bool) -> socket.socket:
    host, _, port = address.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        family, _, _, _, where = found[0]
        if loopback and not ipaddress.ip_address(where[0]).is_loopback:
            raise PermissionError(errno.EACCES, "the admin server needs a loopback address")
        dual = where[0] == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(where[:2], family=family, dualstack_ipv6=dual)
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {address}: {error.strerror}") from error


class _Thread:
    """A loop in a thread, and the servers in it by name."""

    def __init__(self, inspected: Inspected) -> None:
        self._inspected = inspected
        self._pages = {"admin": admin_pages(), "health": health_pages()}
        self._servers: dict[str, tuple[Acceptor, Server]] = {}
        self._loop = asyncio.new_event_loop()
        self._orders: asyncio.Queue[tuple[str, socket.socket | None] | None] = asyncio.Queue()
        # Pages that may wait for the data plane wait here, so that /live does not.
        self._waiters = ThreadPoolExecutor(2, "admin-page")
        self._renderer = ThreadPoolExecutor(1, "metrics")
        self._thread = Thread(target=self._run, name="admin", daemon=True)
        self._thread.start()

    def replace(self, name: str, listening: socket.socket | None) -> None:
        """Serve *name* on this socket, or on none, instead of the one before."""
        self._loop.call_soon_threadsafe(self._orders.put_nowait, (name, listening))

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._orders.put_nowait, None)
        self._thread.join(_STOP)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._obey())

    async def _obey(self) -> None:
        while (order := await self._orders.get()) is not None:
            name, listening = order
            try:
                await self._replace(name, listening)
            except Exception:
                _log.exception("admin: the %s server does not run", name)
                if listening is not None:
                    listening.close()
        await asyncio.gather(*(_end(*server) for server in self._servers.values()))
        for threads in (self._waiters, self._renderer):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _replace(self, name: str, listening: socket.socket | None) -> None:
        old = self._servers.pop(name, None)
        if listening is not None:
            self._servers[name] = self._serve(name, listening)
        if old is not None:
            await _end(*old)

    def _serve(self, name: str, listening: socket.socket) -> tuple[Acceptor, Server]:
        server_type, response_type = import_server()
        pages = self._pages[name]

        async def handle(raw: BaseRequest) -> Response:
            request = Request(raw.method, raw.path, raw.query, raw.headers)
            reply = (name == "admin" and refuse_strangers(request)) or refuse(request, pages)
            reply = reply or await self._ask(request, pages)
            headers = {**_HEADERS, **reply.headers, "Content-Type": reply.content_type}
            return response_type(body=encode(reply, request), status=reply.status, headers=headers)

        web = server_type(handle, access_log=None, logger=_http_log, keepalive_timeout=_IDLE)

        def admit() -> RequestHandler:
            # The server counts a connection some turns of the loop after it was accepted.
            self._loop.call_later(_SETTLED, _evict, web, MAX_CONNECTIONS)
            return web()

        def spare() -> None:
            _evict(web, max(0, len(web.connections) - 1))

        return Acceptor(self._loop, listening, admit, spare), web

    async def _ask(self, request: Request, pages: Pages) -> Answer:
        page: Page = pages[request.path]
        if page.prompt:
            return answer(self._inspected, request, page)
        threads = self._renderer if page.long else self._waiters
        asked = self._loop.run_in_executor(threads, answer, self._inspected, request, page)
        try:
            return await asyncio.wait_for(asked, ANSWER_WITHIN)
        except TimeoutError:
            return busy()


def _evict(web: Server, keep: int) -> None:
    """Close the oldest connections but *keep*."""
    for oldest in web.connections[: max(0, len(web.connections) - keep)]:
        oldest.force_close()


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a record tells of a fault of ours. Anybody may send what is no request."""
    error = record.exc_info[1] if record.exc_info else None
    return not type(error).__module__.startswith("aiohttp.http")


_http_log.addFilter(_is_ours)


async def _end(accepting: Acceptor, web: Server) -> None:
    accepting.close()
    web.pre_shutdown()  # connections at rest go at once, the others when they have answered
    await web.shutdown(_STOP / 2)
