"""One server of an upstream: its origin, pool, load, breakers and health."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from sidecar.observe import debug
from sidecar.policy.breaker import Breaker
from sidecar.policy.load import Load
from sidecar.upstream.connect.dialer import Dialer
from sidecar.upstream.connect.pool import Pool
from sidecar.upstream.endpoints.overrides import Override

if TYPE_CHECKING:
    import ssl

    from sidecar.config.model import Pool as PoolConfig
    from sidecar.observe.stats import EndpointStats
    from sidecar.policy.breaker_settings import BreakerSettings
    from sidecar.policy.load import Total
    from sidecar.upstream.connect.name import Name

_log: Final = logging.getLogger("sidecar.upstream")


class Origin(NamedTuple):
    """A server as a URL names it: scheme, host and port (RFC 9110, 4.3.1), and a base path."""

    secure: bool
    host: str
    port: int
    base: bytes
    authority: bytes

    @classmethod
    def of(cls, url: str, address: str | None = None) -> Origin:
        """Parse *url*; connections go to *address* where one is given."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        base = parts.path.rstrip("/").encode()
        return cls(secure, address or parts.hostname or "", port, base, parts.netloc.encode())


class Endpoint:
    """An endpoint. The registry keeps it as long as its key stays in the configuration."""

    def __init__(
        self,
        upstream: str,
        name: str,
        origin: Origin,
        pool: PoolConfig,
        stats: EndpointStats,
        resolved: Name,
        context: ssl.SSLContext | None = None,
        server_name: str | None = None,
        changed: Callable[[], None] = lambda: None,
        total: Total | None = None,
    ) -> None:
        self.upstream = upstream
        self.name = name
        """The name in logs and metrics: its URL, or URL and address."""
        self.origin = origin
        self.stats = stats
        server_name = server_name or urlsplit(f"//{origin.authority.decode()}").hostname
        self.dial = Dialer(name, resolved, context if origin.secure else None, server_name)
        self.pool = Pool(pool, stats, self.dial, resolved)
        self.resolved = resolved
        """The host name and its addresses."""
        if not resolved.fixed:
            resolved.on_change = self._moved
        self.load = Load(name, 1.0, time.monotonic(), total)
        self.labels: Mapping[str, str] = {}
        self.breakers: dict[str, Breaker] = {}
        """By scope: services of different tolerance each have a breaker of their own."""
        self.down_since: float | None = None
        """When its health checks failed; None while they succeed, and where there are none."""
        self.problem: str | None = None
        """What its last health check found wrong."""
        self._override = Override()
        self._changed = changed
        """Called so that load balancers look anew."""

    def configure(self, weight: float, labels: Mapping[str, str], override: Override) -> None:
        """Apply what the configuration, and an operator at run time, say of it."""
        before = (self.load.weight, self.labels, self._override)
        self.labels = labels
        self._override = override
        self.load.weight = weight if override.weight is None else override.weight
        self.stats.weight = self.load.weight
        self.stats.drained = override.drained
        for breaker in self.breakers.values():
            self._force(breaker)
        if before != (self.load.weight, labels, override):
            self._changed()

    @property
    def usable(self) -> bool:
        """Whether it may get attempts at all, whatever its health and breakers say."""
        override = self._override
        return not override.drained and self.load.weight > 0 and override.breaker != "open"

    @property
    def reachable(self) -> bool:
        """Whether an address of it is known."""
        return bool(self.resolved.found)

    @property
    def override(self) -> Override:
        """What an operator has set."""
        return self._override

    def __repr__(self) -> str:
        return f"<Endpoint {self.name} of {self.upstream}, {self.load.in_flight} in flight>"

    def new_breaker(
        self, scope: str, settings: BreakerSettings, random: Callable[[], float]
    ) -> Breaker:
        """Make its breaker for the calls of *scope*."""
        breaker = self.breakers[scope] = Breaker(settings, partial(self._tripped, scope), random)
        self._force(breaker)
        return breaker

    def keep_scopes(self, scopes: set[str]) -> None:
        """Forget the breakers of other scopes."""
        for gone in self.breakers.keys() - scopes:
            del self.breakers[gone]
            self.stats.breakers.pop(gone, None)

    def _force(self, breaker: Breaker) -> None:
        if breaker.forced != self._override.breaker:
            breaker.force(self._override.breaker, time.monotonic())

    def _tripped(self, scope: str, breaker: Breaker, old: str, new: str, now: float) -> None:
        """Log and count that a breaker has changed its state."""
        self.stats.breakers[scope] = new
        self.stats.transitions[new] += 1
        extra = {"upstream": self.upstream, "endpoint": self.name, "scope": scope}
        level = logging.WARNING if new == "open" else logging.INFO
        _log.log(level, "breaker %s", new.replace("_", "-"), extra={**extra, "before": old})
        if debug.on:
            _log.debug("what the breaker has seen: %s", breaker.snapshot(now), extra=extra)
        self._changed()

    def set_health(self, up: bool) -> None:
        """Take the verdict of its health checks."""
        now = time.monotonic()
        self.down_since = None if up else now
        if up:
            self.load.since = now  # its caches are as cold as a new one's
        self.stats.up = up
        extra = {"upstream": self.upstream, "endpoint": self.name}
        _log.log(
            logging.INFO if up else logging.WARNING,
            "health: %s",
            "up" if up else "down",
            extra=extra,
        )
        self._changed()

    def retire(self) -> None:
        """Close idle connections now, the others after their call: no new calls come.

        What refers back to it is let go of, so that it is freed with its last call, without the
        collector: a template's endpoints come and go as callers please.
        """
        self.pool.retire()
        self.resolved.stop()
        for breaker in self.breakers.values():
            breaker.retire()
        self.breakers.clear()

    def _moved(self) -> None:
        """Follow its name to its new addresses."""
        self.pool.follow(self.resolved)
        self._changed()
