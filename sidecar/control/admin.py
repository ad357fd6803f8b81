"""The admin and health servers, in a thread and a loop of their own.

The thread is the point: whether the process lives is answered even while the data plane's loop is
busy. The caller's thread binds the sockets, so that a port in use is an error there and then.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import TYPE_CHECKING, Final, TypeVar

from sidecar.control.acceptor import Acceptor
from sidecar.control.admin_http import AdminHttp
from sidecar.control.answers import Answer, Request, busy
from sidecar.control.inspected import Inspected
from sidecar.control.pages import Pages, admin_pages, answer, health_pages, page_at, refuse
from sidecar.control.strangers import new_token, refuse_other_sites, refuse_strangers

if TYPE_CHECKING:
    from sidecar.control.live.views import Views

T = TypeVar("T")
_log: Final = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 64
"""For each server. Another one closes the oldest."""
ANSWER_WITHIN: Final = 5.0
"""Seconds that the data plane may take to answer a page."""
_STOP: Final = 2.0


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
        """Finish the replies in progress and close, within 2 seconds at most."""
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
        self._servers: dict[str, tuple[Acceptor, AdminHttp]] = {}
        self._token = new_token()
        self._views: Views | None = None
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
                _log.exception("admin: the %s server could not be started", name)
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

    def _serve(self, name: str, listening: socket.socket) -> tuple[Acceptor, AdminHttp]:
        pages = self._pages[name]

        async def give(request: Request) -> Answer:
            refused = refuse_strangers(request, self._token) if name == "admin" else None
            return refused or refuse(request, pages) or await self._ask(request, pages)

        http = AdminHttp(give, MAX_CONNECTIONS)
        return Acceptor(self._loop, listening, http.connect, http.spare), http

    async def _ask(self, request: Request, pages: Pages) -> Answer:
        page = page_at(request.path, pages)
        assert page is not None  # `refuse` looked
        if page.live:
            return refuse_other_sites(request) or await self._show(request)
        if page.prompt:
            return answer(self._inspected, request, page)
        threads = self._renderer if page.long else self._waiters
        asked = self._loop.run_in_executor(threads, answer, self._inspected, request, page)
        try:
            return await asyncio.wait_for(asked, ANSWER_WITHIN)
        except TimeoutError:
            return busy()

    async def _show(self, request: Request) -> Answer:
        """Answer with what is computed for those who look: a stream, or the status once."""
        if self._views is None:
            from sidecar.control.live.views import Views  # late: most sidecars are not looked at

            self._views = Views(self._inspected, self._wait, self._token)
        return await self._views.show(request)

    def _wait(self, question: Callable[[], T]) -> Awaitable[T]:
        """Call *question* in a thread that may wait for the data plane."""
        return self._loop.run_in_executor(self._waiters, question)


async def _end(accepting: Acceptor, http: AdminHttp) -> None:
    accepting.close()
    await http.shut_down(_STOP / 2)
