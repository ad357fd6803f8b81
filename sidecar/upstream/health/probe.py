"""Requests of our own: to an endpoint, for its health or load; and to a collector of spans.

Probes have a pool of their own, so that they neither wait behind calls nor count as calls. They are
rare: `asyncio.timeout` is affordable here, and it bounds connecting too.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from sidecar.config.model import Pool as PoolConfig
from sidecar.config.model.units import Duration
from sidecar.errors import CallError, Reset
from sidecar.http.headers import CLOSE_LINE
from sidecar.observe.stats import EndpointStats
from sidecar.policy.retry import retry_after
from sidecar.policy.timeouts import Patience
from sidecar.upstream.connect.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecar.http.message import Header, ResponseHead
    from sidecar.upstream.connect.connection import UpstreamConnection
    from sidecar.upstream.connect.dialer import Dialer
    from sidecar.upstream.connect.name import Name
    from sidecar.upstream.endpoints.endpoint import Origin

MAX_BODY: Final = 2**20
"""Bytes of an answer that are read; the connection is closed where more come."""
_LINES: Final = b"\r\nUser-Agent: llm-sidecar-probe\r\nAccept: */*"
_POOL: Final = PoolConfig(
    max_open=2, max_idle=1, lifetime=Duration("1m"), idle_timeout=Duration("30s")
)
"""One connection, for a minute: then the name is resolved again, and another backend may answer."""


class ProbeFailed(CallError):
    """An endpoint gave no usable answer. The error reaches no caller."""


class Answer(NamedTuple):
    """An answer, with at most MAX_BODY bytes of its body."""

    status: int
    body: bytes
    retry_after: float | None = None
    """Seconds that the server asks to wait, if it does."""


class Server(Protocol):
    """What can be probed: an endpoint, or a server beside it."""

    @property
    def name(self) -> str:
        """Its name in errors."""

    @property
    def origin(self) -> Origin:
        """What its URL says."""

    @property
    def resolved(self) -> Name:
        """The host name and its addresses."""

    @property
    def dial(self) -> Dialer:
        """Makes connections to it."""


class Probe:
    """Probes of *server*, one at a time. `close` ends the one that is under way."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._pool = Pool(_POOL, EndpointStats(), server.dial, server.resolved)
        self._exchange: _Exchange | None = None

    async def get(self, path: str, seconds: float, lines: bytes = b"", *, keep: bool) -> Answer:
        """GET *path*, behind the base of the endpoint's URL, as calls are sent.

        *lines* are more header lines, each after a CRLF. Unless *keep*, it takes a new connection,
        which shows that calls could connect too, and closes it. Raise CallError when there is no
        whole answer within *seconds*.
        """
        return await self._request(b"GET", path, seconds, _LINES + lines, b"", keep)

    async def post(self, path: str, seconds: float, lines: bytes, body: bytes) -> Answer:
        """POST *body*, with *lines* only, on a connection that is kept; see `get`."""
        lines += b"\r\nContent-Length: %d" % len(body)
        return await self._request(b"POST", path, seconds, lines, body, True)

    async def connect(self, seconds: float) -> None:
        """Connect (with TLS, where the endpoint has it) and close. Raise CallError if it fails."""
        try:
            async with asyncio.timeout(seconds):
                connection = await self._acquire(seconds, reuse=False)
        except TimeoutError:
            raise self._timed_out(seconds) from None
        connection.abort()

    def close(self) -> None:
        """Close all connections at once."""
        self._pool.retire()
        if self._exchange is not None:
            self._exchange.abandon()

    @property
    def open(self) -> int:
        """Count connections that are open, or still connecting."""
        return self._pool.open

    async def _request(
        self, method: bytes, path: str, seconds: float, lines: bytes, body: bytes, keep: bool
    ) -> Answer:
        origin = self.server.origin
        target = origin.base + path.encode() or b"/"
        lines += b"" if keep else CLOSE_LINE
        head = b"%b %b HTTP/1.1\r\nHost: %b%b\r\n\r\n" % (method, target, origin.authority, lines)
        try:
            async with asyncio.timeout(seconds):
                return await self._send(method, head + body, seconds, keep)
        except TimeoutError:
            raise self._timed_out(seconds) from None

    async def _send(self, method: bytes, request: bytes, seconds: float, keep: bool) -> Answer:
        connection = await self._acquire(seconds, reuse=keep)
        reused = connection.uses > 0
        try:
            return await self._ask(connection, method, request, keep)
        except Reset:
            if not reused:
                raise
        # The server had closed it in the meantime: that says nothing about the server.
        return await self._ask(await self._acquire(seconds, reuse=False), method, request, keep)

    async def _acquire(self, seconds: float, *, reuse: bool) -> UpstreamConnection:
        return await self._pool.acquire(Patience(seconds, seconds), reuse=reuse)

    async def _ask(
        self, connection: UpstreamConnection, method: bytes, request: bytes, keep: bool
    ) -> Answer:
        self._exchange = exchange = _Exchange(connection, keep)
        try:
            connection.begin(exchange, method, False)
            connection.transport.write(request)
            await exchange.over
        finally:
            self._exchange = None
            exchange.abandon()
        if exchange.error is not None:
            raise exchange.error
        return Answer(exchange.status, bytes(exchange.body), exchange.retry_after)

    def _timed_out(self, seconds: float) -> CallError:
        if not self.server.resolved.found:
            return self.server.resolved.silent()
        return ProbeFailed(f"{self.server.name} sent no complete reply within {seconds:g} s")


class _Exchange:
    """Collects a connection's events (see `connection.Exchange`) into an answer."""

    def __init__(self, connection: UpstreamConnection, keep: bool) -> None:
        self.over: asyncio.Future[None] = connection.pool.loop.create_future()
        self.error: CallError | None = None
        """Why there is no answer, once it is over."""
        self.ended = False
        self.status = 0
        self.body = bytearray()
        self.retry_after: float | None = None
        self._keep = keep
        self._connection = connection

    def abandon(self) -> None:
        """Close the connection at once: the answer is not wanted any more."""
        if self.over.cancelled() or self.over.cancel():
            self._connection.abort()

    def on_interim(self, head: ResponseHead) -> None:
        """Ignore a 1xx."""

    def on_response(self, head: ResponseHead) -> None:
        """Take the head."""
        self.status = head.status
        if b"retry-after" in head.fields.known:
            self.retry_after = retry_after(head.fields.known, time.time())
        self._keep &= head.keep_alive

    def on_body(self, data: bytes) -> None:
        """Take some of the body."""
        self.body += data[: MAX_BODY - len(self.body)]

    def on_response_end(self, trailers: Sequence[Header]) -> None:
        """Take the end."""
        self.ended = True

    def on_whole_response(self, head: ResponseHead, body: bytes) -> None:
        """Take all of it at once."""
        self.on_response(head)
        self.on_body(body)
        self.ended = True

    def on_read(self) -> None:
        """Finish once the answer is whole, or as long as an answer may be."""
        if self.ended or len(self.body) >= MAX_BODY:
            self._connection.end(reusable=self.ended and self._keep)
            self._finish()

    def on_lost(self, error: CallError) -> None:
        """Fail: the connection ended before the answer did."""
        self.error = error
        self._finish()

    def on_eof(self) -> bool:
        """Close the other direction too."""
        return False

    def on_writable(self, writable: bool) -> None:
        """Ignore it: a request has a timeout, and all of it is in the buffer."""

    def on_time(self) -> None:
        """Never called: `Probe` has a timeout of its own."""

    def _finish(self) -> None:
        if not self.over.done():
            self.over.set_result(None)
