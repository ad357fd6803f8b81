"""The addresses of a name, kept fresh behind the calls that use them.

States: unknown (never answered, or answered with "no such name") and known (`found` has addresses);
in either a look-up may be under way (`_asking`). A call waits only while the name is unknown.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from sidecar.errors import AttemptError, ConnectFailed, LocalFailure
from sidecar.upstream.connect.resolver import SILENT, AddrInfo, literal, says_no, with_port

Find = Callable[[str], Awaitable[list[AddrInfo]]]
"""Asks a resolver, as `Lookups.find` does."""

_CONFIRM: Final = 1.0
"""Seconds until a first "no such name" is asked about again: servers that start may say it once."""
_UNANSWERED: Final = 2.0
"""Seconds until a resolver that gave no answer is asked again."""
_NEGATIVE: Final = 5.0
"""Seconds for which "no such name" is remembered: long enough to spare the resolver, short enough
for a service that is just being made (RFC 2308 leaves it to the zone; Kubernetes' DNS says 5 s)."""


class Name:
    """*host* and *port*, looked up with *find* every *refresh* seconds from the first use on.

    A last good answer serves while the resolver fails, for *max_stale* seconds at most (RFC 8767).
    *on_change* is called when the addresses have changed. Where *host* is an address, there is
    nothing to look up.
    """

    def __init__(
        self,
        host: str,
        port: int,
        refresh: float,
        find: Find,
        max_stale: float = 86400.0,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.found: list[AddrInfo] = literal(host, port) or []
        """What it resolves to; empty while it is unknown."""
        self.fixed = bool(self.found)
        """Whether it is an address, which never changes."""
        self.refresh = refresh
        self.addresses = _addresses(self.found)
        self.on_change = on_change
        self._find = find
        self._max_stale = max_stale
        self._failure: AttemptError | None = None
        """Why it is unknown, once a look-up has failed."""
        self._refused = 0
        """How many answers in a row were "no such name"."""
        self._answered = 0.0
        self._began = 0.0
        self._asking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def beside(self, host: str, port: int) -> Name:
        """Make another name that is looked up in the same way."""
        return Name(host, port, self.refresh, self._find, self._max_stale)

    async def get(self) -> list[AddrInfo]:
        """Return the addresses; wait for them only while the name is unknown.

        Raise ConnectFailed if there is no such name, and LocalFailure if the resolver does not
        answer: at once, where that is known already.
        """
        if not self.found:
            self.ask()
            left = self._began + SILENT - time.monotonic()
            if self._asking is not None and left > 0:
                await asyncio.wait((self._asking,), timeout=left)
        if not self.found:
            raise self._failure or self.silent()
        return self.found

    @property
    def failure(self) -> str:
        """Why it is unknown; empty while it is known, or was never looked up."""
        return "" if self.found or self._failure is None else self._failure.message

    def ask(self) -> None:
        """Begin to look the name up and keep it fresh, unless that has begun already."""
        if self._asking is None and self._timer is None and not self.fixed:
            self._ask()

    def ask_soon(self) -> None:
        """Look the name up before its time: one of its addresses did not work."""
        if self._timer is not None and time.monotonic() - self._answered > _CONFIRM:
            self._timer.cancel()
            self._ask()

    def stop(self) -> None:
        """Keep the name fresh no longer. `get` still answers."""
        self._stopped = True
        self.on_change = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ask(self) -> None:
        self._timer = None
        self._began = time.monotonic()
        self._asking = asyncio.create_task(self._look_up())

    async def _look_up(self) -> None:
        try:
            infos = with_port(await self._find(self.host), self.port)
        except (OSError, UnicodeError) as error:
            wait = self._failed(error)
        else:
            wait = self._took(infos)
        self._asking = None
        if not self._stopped:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(wait, self._ask)

    def _took(self, infos: list[AddrInfo]) -> float:
        """Use a good answer. Return the seconds until the next look-up."""
        self._refused = 0
        self._failure = None
        self._answered = time.monotonic()
        self._use(infos)
        return self.refresh

    def _failed(self, error: Exception) -> float:
        """Note that there was no good answer. Return the seconds until the next look-up."""
        if says_no(error):
            self._refused += 1
            self._failure = ConnectFailed(
                f"the name {self.host} does not resolve", code="resolve_failed"
            )
            if self.found and self._refused < 2:
                return min(_CONFIRM, self.refresh)
            self._use([])
            return min(_NEGATIVE, self.refresh)
        self._refused = 0
        if self._failure is None or isinstance(self._failure, LocalFailure):
            self._failure = self.silent(error)
        if time.monotonic() - self._answered > self._max_stale:
            self._use([])
        return min(_UNANSWERED, self.refresh)

    def _use(self, infos: list[AddrInfo]) -> None:
        before, self.found = self.addresses, infos
        self.addresses = _addresses(infos)
        if self.addresses != before and self.on_change is not None:
            self.on_change()

    def silent(self, error: Exception | None = None) -> LocalFailure:
        """Make the error that the resolver does not answer, with the reason in *error*."""
        reason = f": {error}" if error is not None else ""
        return LocalFailure(
            f"the resolver does not answer for {self.host}{reason}", code="resolver_failed"
        )


def _addresses(infos: list[AddrInfo]) -> frozenset[str]:
    return frozenset(str(info[4][0]) for info in infos)
