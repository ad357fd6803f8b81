"""An endpoint's TCP server, and its outages, in which it does not listen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from aiohttp import web

from sidecar.simulate.behaviour import Behaviour
from sidecar.simulate.endpoint import Endpoint
from sidecar.simulate.routes import build_application

_RETRY: Final = 0.05
"""Seconds until binding is tried again, when someone took the port during an outage."""


class Server:
    """Binds an endpoint to a port, which one task (`_follow`) opens and closes as time goes by."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._host, self._port = "", 0
        # Cancelling the handler is what makes a caller's leaving end its generation at once.
        self._runner = web.AppRunner(
            build_application(endpoint, self.change),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=1.0,
        )
        self._site: web.TCPSite | None = None
        self._follower: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._stopping = False

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one. Raises OSError when it can't."""
        self._host, self._port = host, port
        await self._runner.setup()
        try:
            await self._listen()
        except OSError:
            await self._runner.cleanup()
            raise
        if self._starts_down():
            await self._fall()
        self._follower = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Close everything; calls in flight are cut, as in an outage."""
        self._stopping = True
        self._changed.set()
        if self._follower is not None:
            await self._follower
        await self._fall()
        await self._runner.cleanup()

    def change(self, behaviour: Behaviour) -> None:
        """Put *behaviour* in force; its outages count from now."""
        self.endpoint.change(behaviour)
        self._changed.set()

    def _starts_down(self) -> bool:
        windows = self.endpoint.regime.behaviour.down
        return bool(windows) and windows[0][0] == 0

    async def _follow(self) -> None:
        while not self._stopping:
            self._changed.clear()
            began = asyncio.get_running_loop().time()
            for at, act in self._timetable():
                if await self._changed_before(began + at):
                    break
                await act()
            else:
                await self._changed.wait()

    def _timetable(self) -> Iterator[tuple[float, Callable[[], Awaitable[None]]]]:
        if not self._starts_down():
            yield 0.0, self._rise
        for start, end in self.endpoint.regime.behaviour.down:
            yield start, self._fall
            yield end, self._rise

    async def _changed_before(self, deadline: float) -> bool:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._changed.wait()
        except TimeoutError:
            return False

    async def _rise(self) -> None:
        loop = asyncio.get_running_loop()
        while self._site is None and not self._stopping:
            try:
                await self._listen()
            except OSError:
                await self._changed_before(loop.time() + _RETRY)

    async def _listen(self) -> None:
        site = web.TCPSite(self._runner, self._host, self._port, backlog=1024)
        try:
            await site.start()
        except OSError:
            await site.stop()
            raise
        self._site, self._port = site, site.port
        self.endpoint.down = False

    async def _fall(self) -> None:
        if self._site is None:
            return
        self.endpoint.down = True
        await self._site.stop()
        self._site = None
        server = self._runner.server
        for connection in server.connections if server is not None else ():
            if connection.transport is not None:
                connection.transport.abort()
