"""Connects to one server: resolves its name, then TCP, then TLS where it has it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from typing import TYPE_CHECKING

from sidecar.errors import (
    AttemptError,
    CertificateRefused,
    ConnectFailed,
    DeadlineExceeded,
    LocalFailure,
    TimedOut,
)
from sidecar.observe.shortage import note
from sidecar.upstream.connect.connection import UpstreamConnection
from sidecar.upstream.connect.happy_eyeballs import connect, local_reason
from sidecar.upstream.connect.keepalive import GONE_AFTER, give_up_unanswered, keep_alive
from sidecar.upstream.connect.tls import refusal_of_ours

if TYPE_CHECKING:
    from sidecar.policy.timeouts import Due
    from sidecar.upstream.connect.name import Name
    from sidecar.upstream.connect.pool import Pool
    from sidecar.upstream.connect.resolver import AddrInfo


class Dialer:
    """Makes the connections of an endpoint's pools. It refers to neither, so that both can go.

    *server* is what errors call it. With a *context*, connections have TLS, and *server_name* is
    asked for and verified.
    """

    def __init__(
        self, server: str, name: Name, context: ssl.SSLContext | None, server_name: str | None
    ) -> None:
        self.name = name
        self._server = server
        self._context = context
        # A dot at the end only keeps a resolver from trying its search list; certificates and SNI
        # have names without it (RFC 6066, section 3).
        self._server_name = server_name.removesuffix(".") if server_name and context else None

    async def __call__(self, pool: Pool, due: Due) -> UpstreamConnection:
        """Make a new connection for *pool*, within *due*.

        Raise ConnectFailed or TimedOut if the endpoint can't be connected to, LocalFailure if we or
        our machine are in no condition to, and DeadlineExceeded if *due* is the call's total.
        """
        end = time.monotonic() + due.seconds
        infos = self.name.found or await self._resolve(due)
        connection = UpstreamConnection(pool)
        timer = asyncio.timeout(max(0.0, end - time.monotonic()))
        try:
            async with timer:
                await self._connect(connection, infos)
        except asyncio.CancelledError:
            connection.discard_unused()
            raise
        except OSError as error:
            if timer.expired():
                connection.discard_unused()
                raise self._too_slow(due) from None
            raise self._failed(error) from error
        return connection

    async def _resolve(self, due: Due) -> list[AddrInfo]:
        try:
            async with asyncio.timeout(due.seconds):
                return await self.name.get()
        except TimeoutError:
            if due.name == "total":
                raise self._too_slow(due) from None
            raise self.name.silent() from None

    async def _connect(self, connection: UpstreamConnection, infos: list[AddrInfo]) -> None:
        sock = await connect(infos)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keep_alive(sock)
        give_up_unanswered(sock, GONE_AFTER)
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: connection, sock=sock, ssl=self._context, server_hostname=self._server_name
            )
        except BaseException:
            # uvloop closes the descriptor itself. Where TLS breaks off at once, that was before it
            # knew of `sock`, which would close the number again: another connection's by then.
            sock.detach()
            raise

    def _too_slow(self, due: Due) -> AttemptError:
        if due.name == "total":
            return DeadlineExceeded("the call's `total` timeout has expired")
        message = f"no connection to {self._server} within {due.seconds:g} s"
        return TimedOut(message, code="connect_timeout")

    def _failed(self, error: OSError) -> AttemptError:
        refused = refusal_of_ours(error)
        if refused is not None:
            return CertificateRefused(f"{self._server} refused our client certificate: {refused}")
        if isinstance(error, ssl.SSLError):
            reason = getattr(error, "verify_message", "") or error.reason or str(error)
            return ConnectFailed(f"TLS with {self._server}: {reason}", code="tls_failed")
        self.name.ask_soon()
        missing = local_reason(error)
        if missing is not None:
            note("endpoint", missing)
            return LocalFailure(f"no connection to {self._server}: {missing}")
        return ConnectFailed(f"can't connect to {self._server}: {error.strerror or error}")
