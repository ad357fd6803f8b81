"""A fleet of simulated endpoints in one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sidecar.simulate.behaviour import Behaviour
from sidecar.simulate.counters import Counters
from sidecar.simulate.delivery import Sleep
from sidecar.simulate.endpoint import Endpoint
from sidecar.simulate.server import Server


class Fleet:
    """Endpoints `sim-0`, `sim-1`, ..., each with a port, a behaviour and counters of its own.

    *sleep* replaces `asyncio.sleep` where a model thinks, for tests that must not wait.
    """

    def __init__(self, sleep: Sleep = asyncio.sleep) -> None:
        self._sleep = sleep
        self._servers: list[Server] = []

    async def start(
        self,
        endpoints: Sequence[Behaviour],
        host: str = "127.0.0.1",
        ports: Sequence[int] | None = None,
    ) -> list[str]:
        """Start one server for each behaviour; return their URLs (`http://127.0.0.1:18001`).

        *ports* has one for each; 0, or none at all, takes free ones. Raises OSError when a port
        is taken, with nothing left running.
        """
        for index, (behaviour, port) in enumerate(
            zip(endpoints, ports or [0] * len(endpoints), strict=True)
        ):
            server = Server(Endpoint(index, behaviour, self._sleep))
            try:
                await server.start(host, port)
            except OSError:
                await self.stop()
                raise
            self._servers.append(server)
        return self.urls

    async def stop(self) -> None:
        """Close all, cutting calls in flight. Counters taken before stay readable."""
        servers, self._servers = self._servers, []
        await asyncio.gather(*(server.stop() for server in servers))

    @property
    def urls(self) -> list[str]:
        """Where each endpoint listens."""
        return [server.url for server in self._servers]

    @property
    def counters(self) -> list[Counters]:
        """The live counters of each endpoint."""
        return [server.endpoint.counters for server in self._servers]

    def change(self, index: int, behaviour: Behaviour) -> None:
        """Put *behaviour* in force at a running endpoint, for the calls to come."""
        self._servers[index].change(behaviour)
