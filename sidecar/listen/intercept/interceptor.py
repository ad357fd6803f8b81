"""Intercept a connection or pass it on: what captured and CONNECTed ones have in common."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from sidecar.errors import CallError
from sidecar.http.sniff import MAX_SNIFFED, Sniffed, sniff
from sidecar.listen.downstream import DownstreamConnection
from sidecar.listen.intercept.connections import InterceptedTls
from sidecar.listen.intercept.decision import Decision, Learned, client_of, decide
from sidecar.listen.intercept.dial import dial
from sidecar.listen.intercept.leaves import Leaves
from sidecar.listen.intercept.peek import has_left, peek
from sidecar.listen.intercept.raw_listener import Peer, RawListener
from sidecar.listen.intercept.rules import Rules
from sidecar.listen.intercept.trust_observer import TrustObserver
from sidecar.upstream.connect.resolver import Lookups

if TYPE_CHECKING:
    import ssl

    from sidecar.config.model import Listener as Config
    from sidecar.listen.intercept.original_destination import Destination
    from sidecar.listen.listener import Current
    from sidecar.observe.stats import ListenerStats
    from sidecar.proxy.recorder import Recorder
    from sidecar.upstream.connect.resolver import AddrInfo

_log: Final = logging.getLogger(__name__)
_QUIET: Final = 60.0
"""Seconds between two warnings of one kind."""
_LOOKUPS: Final = 32
"""Threads for the names that clients ask for, whichever they are: none of them is one that looks up
names of endpoints, so that a client's names hold up other clients' at most."""


class Shared:
    """What all intercepting listeners of a process have together."""

    def __init__(self) -> None:
        self.learned = Learned()
        self.leaves = Leaves()
        self.warned: dict[Decision, float] = {}
        self.lookups = Lookups(_LOOKUPS)


class Interceptor(RawListener):
    """A listener that intercepts some connections and passes the others on."""

    def __init__(
        self,
        config: Config,
        current: Current,
        recorder: Recorder,
        stats: ListenerStats,
        shared: Shared,
    ) -> None:
        super().__init__(config, current, recorder, stats)
        self.shared = shared
        self._rules: Rules | None = None

    @property
    def rules(self) -> Rules:
        """The rules of the configuration that serves now."""
        config = self.current.snapshot.config
        if self._rules is None or self._rules.config is not config:
            self._rules = Rules(config)
        return self._rules

    async def consider(self, sock: socket.socket, peer: Peer, target: Destination) -> None:
        """Look at the first bytes of *sock*, which goes to *target*; serve it or pass it on."""
        rules, learned, now = self.rules, self.shared.learned, time.monotonic()
        if learned.server_first.has(target, now):
            await self._pass_on(sock, peer, target, target.host, Decision.SERVER_FIRST)
            return
        seen = await peek(sock, sniff, MAX_SNIFFED, rules.sniff)
        host = (seen.host if seen else None) or target.host
        decision = decide(seen, host, peer.host, rules.hosts, learned, now)
        if decision is Decision.HTTP:
            self.count(decision)
            await self.serve(sock, DownstreamConnection(self))
        elif decision is Decision.TLS and seen is not None:
            await self._terminate(sock, peer, target, host, seen)
        else:
            await self._pass_on(sock, peer, target, host, decision)

    def count(self, decision: Decision) -> None:
        """Count what became of a connection."""
        self.stats.decisions[decision.value] += 1

    def count_passed(self, decision: Decision, host: str) -> None:
        """Count a connection for *host* that is passed through."""
        self.count(decision)
        self.stats.passed_hosts.count(host, decision.value)

    async def addresses(self, target: Destination) -> list[AddrInfo]:
        """Return the addresses that connections to *target* may be passed on to.

        Raise CallError if there is none.
        """
        raise NotImplementedError

    async def _terminate(
        self, sock: socket.socket, peer: Peer, target: Destination, host: str, seen: Sniffed
    ) -> None:
        context = await self._context(host)
        if context is None or seen.hello is None:
            await self._pass_on(sock, peer, target, host, Decision.NO_CA)
            return
        self.count(Decision.TLS)
        if has_left(sock):  # before it saw our certificate, which may take a while to make
            self.count(Decision.LEFT)
            self.close(sock)
            return
        client = client_of(peer.host, host, seen.hello)
        observer = TrustObserver(
            client, self.shared.learned.distrust, self.rules.remember, self._left_early
        )
        try:
            await self.serve(sock, InterceptedTls(self, observer, seen.host), context)
        except OSError as error:  # an alert, or an end in the middle
            observer.left(error)

    def _left_early(self, refused: bool) -> None:
        self.count(Decision.REFUSED if refused else Decision.LEFT)

    async def _context(self, host: str) -> ssl.SSLContext | None:
        try:
            return await self.shared.leaves.context(self.rules.ca, host)
        except (OSError, ValueError) as error:
            self.warn(
                Decision.NO_CA, f"can't intercept TLS, connections are passed through: {error}"
            )
            return None

    async def _pass_on(
        self, sock: socket.socket, peer: Peer, target: Destination, host: str, decision: Decision
    ) -> None:
        """Connect *sock* to where it was going; reset it if that can't be reached."""
        self.count_passed(decision, host)
        try:
            far = await dial(target, await self.addresses(target))
        except CallError:
            self.refuse(sock)
            return
        learns = decision is Decision.SERVER_FIRST or (
            decision is Decision.SILENT and not has_left(sock)
        )
        tunnel = self.tunnel(sock, peer, far, str(target))
        if learns:
            tunnel.on_first = partial(self._spoke_first, target)

    def _spoke_first(self, target: Destination, server: bool) -> None:
        """Learn which side spoke first: if the client did, the next connection is looked at."""
        known = self.shared.learned.server_first
        if server:
            known.add(target, time.monotonic() + self.rules.remember)
        else:
            known.forget(target)

    def warn(self, kind: Decision, text: str) -> None:
        """Log *text* as a warning, at most once a minute for each *kind*."""
        now = asyncio.get_running_loop().time()
        if now - self.shared.warned.get(kind, -_QUIET) >= _QUIET:
            self.shared.warned[kind] = now
            _log.warning(text)
