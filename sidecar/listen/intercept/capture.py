"""Mode `capture`: the kernel redirects connections here that were going elsewhere."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from sidecar.listen.intercept.decision import Decision
from sidecar.listen.intercept.interceptor import Interceptor
from sidecar.listen.intercept.original_destination import original_destination
from sidecar.listen.intercept.raw_listener import Peer
from sidecar.upstream.connect.own_sockets import is_own

if TYPE_CHECKING:
    from sidecar.listen.intercept.original_destination import Destination
    from sidecar.upstream.connect.resolver import AddrInfo


class Capture(Interceptor):
    """Passes connections on to exactly where they were going, without asking `intercept.allow`.

    Their program could go there without us.
    """

    async def carry(self, sock: socket.socket, peer: Peer) -> None:
        """Find out where *sock* was going; then intercept it or pass it on."""
        target = original_destination(sock)
        if target is None:
            self.count(Decision.NOT_REDIRECTED)
            self.refuse(sock)
        elif is_own(peer) or self.rules.is_ourselves(target, self.port):
            self.count(Decision.LOOP)
            self.warn(
                Decision.LOOP,
                "the sidecar's own connections are redirected to it: exclude its user"
                " (sidecar redirect install --uid)",
            )
            self.refuse(sock)
        else:
            await self.consider(sock, peer, target)

    async def addresses(self, target: Destination) -> list[AddrInfo]:
        """Return the one address, as the kernel told it."""
        if ":" in target.host:
            return [(socket.AF_INET6, socket.SOCK_STREAM, 0, "", (target.host, target.port, 0, 0))]
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (target.host, target.port))]
