"""Mode `forward`: an HTTP proxy, as HTTPS_PROXY and HTTP_PROXY name it. Not an open one."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from sidecar.errors import BadMessage, CallError, Forbidden, TraceRefused
from sidecar.http.message import Header, RequestHead
from sidecar.http.proxied import MAX_HEAD, Asked, Form, passed_on_head, read_asked
from sidecar.http.request_parser import RequestParser
from sidecar.http.semantics import hops_left
from sidecar.listen.downstream import DownstreamConnection
from sidecar.listen.intercept.connections import OneCall
from sidecar.listen.intercept.decision import Decision
from sidecar.listen.intercept.dial import dial, resolve
from sidecar.listen.intercept.interceptor import Interceptor
from sidecar.listen.intercept.original_destination import Destination
from sidecar.listen.intercept.peek import peek
from sidecar.listen.intercept.raw_listener import Peer
from sidecar.listen.refusal import refusal

if TYPE_CHECKING:
    from sidecar.upstream.connect.resolver import AddrInfo

_ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
_LAST_STOP: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Forward(Interceptor):
    """Hosts that routes name are intercepted; for others it connects, where that is allowed."""

    async def carry(self, sock: socket.socket, peer: Peer) -> None:
        """Read the request; then do what it asks for, or answer why not."""
        asked = await peek(sock, read_asked, MAX_HEAD, float(self.config.head_timeout))
        try:
            await self._do(sock, peer, asked or Asked(Form.OTHER))
        except CallError as error:
            self.stats.refused[error.status] += 1
            await self.say(sock, refusal(error))

    async def _do(self, sock: socket.socket, peer: Peer, asked: Asked) -> None:
        if not self.rules.clients.have(peer.host):
            raise Forbidden(f"{peer.host} may not use this proxy", code="forbidden_client")
        target = Destination(asked.host, asked.port)
        if asked.form is Form.CONNECT:
            sock.recv(asked.size)
            await self._connect(sock, peer, target)
        elif asked.form is Form.OTHER:
            await self.serve(sock, DownstreamConnection(self))
        elif self.rules.hosts.contain(target.host):
            self.count(Decision.HTTP)
            await self.serve(sock, OneCall(self))
        else:
            await self._request(sock, peer, target, asked.size)

    async def _connect(self, sock: socket.socket, peer: Peer, target: Destination) -> None:
        routed = self.rules.hosts.contain(target.host)
        if not routed and not _is_address(target.host):
            far = await dial(target, await self.addresses(target))
            self.count_passed(Decision.NOT_ROUTED, target.host)
            self.tunnel(sock, peer, far, str(target), (b"", _ESTABLISHED))
            return
        if not routed:
            await self.addresses(target)  # say so now, if it may not be passed on
        sock.send(_ESTABLISHED)
        await self.consider(sock, peer, target)

    async def _request(
        self, sock: socket.socket, peer: Peer, target: Destination, size: int
    ) -> None:
        """Pass one request on: the head in origin form, the rest as it is."""
        head = _Head(self).parse(sock.recv(size))
        if hops_left(head) == 0:
            await self._answer_here(sock, head)
            return
        far = await dial(target, await self.addresses(target))
        self.count_passed(Decision.NOT_ROUTED, target.host)
        self.tunnel(sock, peer, far, str(target), (passed_on_head(head), b""))

    async def addresses(self, target: Destination) -> list[AddrInfo]:
        """Return the addresses of *target* that may be connected to (`intercept.allow`)."""
        rules, found = self.rules, await resolve(target, self.shared.lookups.find)
        allowed = [info for info in found if rules.reach.allows(target.host, str(info[4][0]))]
        if not allowed:
            raise Forbidden(f"{target.host} has no public address and is not in `intercept.allow`")
        if any(
            rules.is_ourselves(Destination(str(info[4][0]), target.port), self.port)
            for info in allowed
        ):
            self.count(Decision.LOOP)
            raise Forbidden(f"{target} is this sidecar", code="loop", status=508)
        return allowed

    async def _answer_here(self, sock: socket.socket, head: RequestHead) -> None:
        """Answer as the last recipient: Max-Forwards allows no further hop."""
        if head.method == b"TRACE":
            raise TraceRefused("the sidecar does not answer TRACE with Max-Forwards: 0")
        await self.say(sock, _LAST_STOP)


class _Head:
    """Parses one head."""

    def __init__(self, listener: Forward) -> None:
        self._limits = listener.limits
        self._head: RequestHead | None = None

    def parse(self, data: bytes) -> RequestHead:
        """Return the head that *data* is. Raise BadMessage if it must not be passed on."""
        parser = RequestParser(self, self._limits)
        try:
            parser.feed(data)
        finally:
            parser.close()
        if self._head is None:
            raise BadMessage("malformed request")
        return self._head

    def on_request(self, head: RequestHead) -> None:
        self._head = head

    def on_whole_request(self, head: RequestHead, body: bytes) -> None:
        self._head = head

    def on_body(self, data: bytes) -> None:
        """Never called: only a head is fed."""

    def on_request_end(self, trailers: list[Header]) -> None:
        """Ignore the end of a request without a body."""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
