"""Decides by a connection's first bytes whether it is intercepted or passed through, and why.

In doubt it is passed through: a call that goes its old way is better than one that breaks.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sidecar.http.client_hello import ClientHello
from sidecar.http.sniff import Protocol, Sniffed
from sidecar.listen.intercept.distrust import Client, Distrust
from sidecar.policy.remember import Remembered

if TYPE_CHECKING:
    from sidecar.listen.intercept.hosts import RoutedHosts
    from sidecar.listen.intercept.original_destination import Destination

_REMEMBERED: Final = 4096
"""Servers."""


class Decision(StrEnum):
    """What becomes of a connection; the label of a metric."""

    TLS = "intercepted_tls"
    HTTP = "intercepted_http"
    NOT_ROUTED = "not_routed"
    """No route names the host that it is for."""
    NOT_HTTP = "not_http"
    """It speaks neither TLS nor HTTP/1."""
    ONLY_H2 = "only_h2"
    """Its client offers no HTTP/1.1 over TLS."""
    UNTRUSTING = "untrusting"
    """Its client does not trust our certificate, by what it said or did before."""
    SILENT = "silent"
    """Its client sent nothing in time: perhaps the server speaks first."""
    SERVER_FIRST = "server_first"
    """Its server has spoken first before, so the client was not waited for."""
    NO_CA = "no_ca"
    """The local CA can't be used; the log says why."""
    REFUSED = "certificate_refused"
    """It was to be intercepted; its client's next ones are passed through."""
    LEFT = "left_early"
    """It was to be intercepted, but its client left without a request, and did not say why."""
    NOT_REDIRECTED = "not_redirected"
    """It came to a capture listener of its own accord, and was closed."""
    LOOP = "loop"
    """It came from this sidecar, or would have gone to it, and was closed."""


class Learned:
    """What was learned of clients and servers; all listeners share it."""

    def __init__(self) -> None:
        self.distrust = Distrust()
        self.server_first: Remembered[Destination] = Remembered(_REMEMBERED)


def decide(
    seen: Sniffed | None, host: str, peer: str, hosts: RoutedHosts, learned: Learned, now: float
) -> Decision:
    """Decide what becomes of a connection of *peer* for *host* whose first bytes were *seen*."""
    if seen is None:
        return Decision.SILENT
    if seen.protocol is Protocol.OTHER:
        return Decision.NOT_HTTP
    if not hosts.contain(host) or (seen.protocol is Protocol.HTTP and seen.host is None):
        return Decision.NOT_ROUTED
    if seen.hello is None:
        return Decision.HTTP
    if seen.hello.alpn and b"http/1.1" not in seen.hello.alpn:
        return Decision.ONLY_H2
    if learned.distrust.has(client_of(peer, host, seen.hello), now):
        return Decision.UNTRUSTING
    return Decision.TLS


def client_of(peer: str, host: str, hello: ClientHello) -> Client:
    """Identify *peer*, by its TLS stack too: programs of one machine share an address."""
    return Client(peer, host, hello.fingerprint)
