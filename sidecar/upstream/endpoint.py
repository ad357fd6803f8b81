"""One server of an upstream: where it is, how to connect to it, its pool and its counts."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import aiohappyeyeballs

from sidecar.errors import ConnectFailed
from sidecar.upstream.connection import UpstreamConnection
from sidecar.upstream.own import own_socket
from sidecar.upstream.pool import Pool
from sidecar.upstream.resolve import Name

if TYPE_CHECKING:
    from sidecar.config.model import Pool as PoolConfig
    from sidecar.observe.stats import EndpointStats

_NEXT_ADDRESS_AFTER = 0.25
"""Seconds until the next address of a name is tried as well (RFC 8305, section 8)."""


class Place(NamedTuple):
    """What of a URL names a server."""

    secure: bool
    host: str
    port: int
    base: bytes
    authority: bytes

    @classmethod
    def of(cls, url: str, address: str | None = None) -> Place:
        """Of *url*; connections go to *address* where one is given."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        base = parts.path.rstrip("/").encode()
        return cls(secure, address or parts.hostname or "", port, base, parts.netloc.encode())


class Endpoint:
    """Made by the registry, and kept by it as long as its key stays in the configuration."""

    def __init__(
        self,
        upstream: str,
        name: str,
        place: Place,
        pool: PoolConfig,
        stats: EndpointStats,
        context: ssl.SSLContext | None = None,
        server_name: str | None = None,
        refresh: float = 30.0,
    ) -> None:
        self.upstream = upstream
        self.name = name
        """How logs and metrics call it: its URL, or URL and address."""
        self.place = place
        self.stats = stats
        self.pool = Pool(pool, stats, self._dial)
        self._context = context if place.secure else None
        self._server_name = server_name or urlsplit(f"//{place.authority.decode()}").hostname
        self._name = Name(place.host, place.port, refresh)
        self._refreshing: asyncio.TimerHandle | None = None

    def retire(self) -> None:
        """No new calls come: idle connections are closed, the others after their call."""
        self.pool.retire()
        if self._refreshing is not None:
            self._refreshing.cancel()

    async def _dial(self, pool: Pool) -> UpstreamConnection:
        infos = await self._name.get()
        connection = UpstreamConnection(pool)
        try:
            await self._connect(connection, infos)
        except asyncio.CancelledError:
            connection.orphan()
            raise
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", "") or error.reason or str(error)
            raise ConnectFailed(f"TLS with {self.name}: {reason}", code="tls_failed") from error
        except OSError as error:
            raise ConnectFailed(f"can't connect to {self.name}: {error}") from error
        self._watch_name()
        return connection

    async def _connect(
        self, connection: UpstreamConnection, infos: list[aiohappyeyeballs.AddrInfoType]
    ) -> None:
        loop = asyncio.get_running_loop()
        sock = await aiohappyeyeballs.start_connection(
            infos,
            happy_eyeballs_delay=_NEXT_ADDRESS_AFTER,
            interleave=1,
            loop=loop,
            socket_factory=own_socket,
        )
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await loop.create_connection(
                lambda: connection,
                sock=sock,
                ssl=self._context,
                server_hostname=self._server_name if self._context else None,
            )
        except BaseException:
            sock.close()
            raise

    def _watch_name(self) -> None:
        """While connections are open, ask again, and close idle ones to addresses that are gone."""
        if self._refreshing is None and not self.pool.retired:
            loop = asyncio.get_running_loop()
            self._refreshing = loop.call_later(self._name.refresh, self._refresh)

    def _refresh(self) -> None:
        self._refreshing = None
        if self.pool.open and not self.pool.retired:
            self._refresh_task = asyncio.create_task(self._ask_again())

    async def _ask_again(self) -> None:
        await self._name.get()
        addresses = self._name.addresses
        self.pool.close_idle(lambda connection: connection.peer not in addresses)
        self._watch_name()
