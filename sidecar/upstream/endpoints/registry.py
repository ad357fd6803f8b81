"""The registry of endpoints, which outlive reloads: each is kept as long as its key is configured.

A reload binds first (a failure changes nothing), then commits (nothing there can fail).
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from sidecar.observe.stats import EndpointStats, Stats
from sidecar.upstream.connect.name import Name
from sidecar.upstream.connect.resolver import Lookups
from sidecar.upstream.connect.tls import PLAIN, Secured, secured
from sidecar.upstream.endpoints.endpoint import Endpoint, Origin
from sidecar.upstream.endpoints.overrides import Override, Overrides
from sidecar.upstream.endpoints.sources import DnsSource, EndpointSource, TemplateSource, UrlSource
from sidecar.upstream.endpoints.upstream import Membership, Upstream
from sidecar.upstream.health.monitors import Monitors

if TYPE_CHECKING:
    from sidecar.config.model import Endpoint as EndpointConfig
    from sidecar.config.model import Upstream as UpstreamConfig

_LOOKUPS: Final = 64
"""Threads that look up names of endpoints. Each takes about 60 KB while it asks."""


class Key(NamedTuple):
    """What makes an endpoint the same across reloads."""

    upstream: str
    kind: str
    url: str
    tls: str
    refresh: float
    max_stale: float


class Binding(NamedTuple):
    """Upstreams of a configuration that is not serving yet."""

    upstreams: dict[str, Upstream]
    sources: dict[Key, EndpointSource]
    configs: dict[str, UpstreamConfig]
    entries: dict[Key, EndpointConfig]


class Registry:
    """All endpoints that exist, by key, and the TLS contexts that they share."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._kept: dict[Key, EndpointSource] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._configs: dict[str, UpstreamConfig] = {}
        self._monitors = Monitors()
        self._memberships: dict[str, Membership] = {}
        self._entries: dict[Key, EndpointConfig] = {}
        """What the configuration says of the endpoints that serve."""
        self._overrides = Overrides()
        self._lookups = Lookups(_LOOKUPS)

    def secure(self, configs: dict[str, UpstreamConfig]) -> dict[str, Secured]:
        """Read what *configs* need for TLS. It takes 17 ms for each new context: not on the loop.

        Raise OSError for files that can't be used.
        """
        known = dict(self._contexts)
        made: dict[str, Secured] = {}
        for name, config in configs.items():
            try:
                made[name] = entry = secured(config, known)
            except OSError as error:
                files = ", ".join(filter(None, (config.tls.ca, config.tls.cert, config.tls.key)))
                reason = getattr(error, "reason", None) or error.strerror or error
                raise OSError(error.errno, f"upstreams.{name}.tls: {reason} ({files})") from error
            if entry.context is not None:
                known[entry.digest] = entry.context
        return made

    def bind(self, configs: dict[str, UpstreamConfig], tls: dict[str, Secured]) -> Binding:
        """Make upstreams for *configs*, of what exists already; *tls* is what `secure` returned."""
        kept: dict[Key, EndpointSource] = {}
        entries: dict[Key, EndpointConfig] = {}
        upstreams = {}
        for name, config in configs.items():
            membership = self._memberships.setdefault(name, Membership())
            sources = self._sources(name, config, tls[name], kept, entries)
            upstreams[name] = Upstream(name, config.dialect, sources, membership)
        return Binding(upstreams, kept, configs, entries)

    def commit(self, binding: Binding) -> None:
        """Serve *binding*: what it no longer has is retired."""
        gone = [source for key, source in self._kept.items() if key not in binding.sources]
        self._kept = binding.sources
        self._configs = binding.configs
        self._memberships = {name: self._memberships[name] for name in binding.upstreams}
        self._entries = binding.entries
        used = {key.tls for key in binding.sources}
        self._contexts = {digest: c for digest, c in self._contexts.items() if digest in used}
        for old in gone:
            old.retire()
        for key, source in binding.sources.items():
            source.start()
            for endpoint in source.endpoints():
                self._configure(key, endpoint)

    def overridden(self, upstream: str, endpoint: str) -> Override:
        """Return what an operator has set for this endpoint."""
        return self._overrides.get(upstream, endpoint)

    def override(self, upstream: str, endpoint: str, override: Override) -> None:
        """Set *override* from the next pick on, across reloads, until another one is set.

        Raise LookupError when there is no such endpoint, OverflowError when too many are set.
        """
        found = [
            (key, each)
            for key, source in self._kept.items()
            if key.upstream == upstream
            for each in source.endpoints()
            if each.name == endpoint
        ]
        if not found and override != Override():
            raise LookupError(f"upstream {upstream} has no endpoint {endpoint}")
        self._overrides.put(upstream, endpoint, override)
        for key, each in found:
            self._configure(key, each)

    def keep_scopes(self, scopes: Mapping[str, set[str]]) -> None:
        """Forget the breakers of scopes that no route has any more."""
        for key, source in self._kept.items():
            for endpoint in source.endpoints():
                endpoint.keep_scopes(scopes.get(key.upstream, set()))
        for name, stats in self._stats.upstreams.items():
            stats.keep_scopes(scopes.get(name, set()))

    def close(self) -> None:
        """Let go of every endpoint: idle connections are closed, others after their call."""
        self.commit(Binding({}, {}, {}, {}))

    def forget(self) -> None:
        """Drop the counts of endpoints that do not serve: a binding was not committed."""
        for key in self._stats.endpoints.keys() - self._named():
            del self._stats.endpoints[key]

    def _sources(
        self,
        name: str,
        config: UpstreamConfig,
        tls: Secured,
        kept: dict[Key, EndpointSource],
        entries: dict[Key, EndpointConfig],
    ) -> list[EndpointSource]:
        sources: list[EndpointSource] = []
        for endpoint in config.endpoints:
            url = endpoint.url or endpoint.dns or ""
            kind = "dns" if endpoint.dns else "template" if "{" in url else "url"
            digest = tls.digest if url.startswith("https:") else PLAIN
            key = Key(name, kind, url, digest, config.dns_refresh, config.dns_max_stale)
            source = kept.get(key) or self._kept.get(key) or self._make(key, config, tls)
            kept[key] = source
            entries[key] = endpoint
            sources.append(source)
        return sources

    def _make(self, key: Key, config: UpstreamConfig, tls: Secured) -> EndpointSource:
        context = None
        if key.tls != PLAIN and tls.context is not None:
            context = self._contexts[key.tls] = tls.context
        membership = self._memberships[key.upstream]
        make = partial(self._endpoint, key, config, context, membership)
        if key.kind == "url":
            return UrlSource(make(key.url, None), self._drop)
        if key.kind == "template":
            return TemplateSource(key.url, make, self._drop)
        return DnsSource(key.url, self._name(key, Origin.of(key.url)), make, self._drop, membership)

    def _name(self, key: Key, origin: Origin) -> Name:
        return Name(origin.host, origin.port, key.refresh, self._lookups.find, key.max_stale)

    def _endpoint(
        self,
        key: Key,
        config: UpstreamConfig,
        context: ssl.SSLContext | None,
        membership: Membership,
        url: str,
        address: str | None,
    ) -> Endpoint:
        name = f"{url}@{address}" if address else url
        stats = self._stats.endpoints.setdefault((key.upstream, name), EndpointStats())
        origin = Origin.of(url, address)
        endpoint = Endpoint(
            key.upstream,
            name,
            origin,
            config.pool,
            stats,
            self._name(key, origin),
            context,
            config.tls.server_name,
            membership.change,
            membership.total,
        )
        if key in self._entries:  # an address or a captured value that is new while we serve
            self._configure(key, endpoint)
        return endpoint

    def _configure(self, key: Key, endpoint: Endpoint) -> None:
        entry, config = self._entries[key], self._configs[key.upstream]
        endpoint.pool.configure(config.pool)
        self._monitors.ensure(endpoint, config)
        override = self._overrides.get(key.upstream, endpoint.name)
        endpoint.configure(entry.weight, entry.labels, override)

    def _drop(self, endpoint: Endpoint) -> None:
        self._monitors.remove(endpoint)
        endpoint.retire()
        # A new endpoint of the same name may count here already (its TLS changed, say).
        if not self._counts_at(endpoint.upstream, endpoint.name):
            self._stats.endpoints.pop((endpoint.upstream, endpoint.name), None)

    def _counts_at(self, upstream: str, name: str) -> bool:
        """Whether an endpoint that serves has this name."""
        return any(
            source.has(name) for key, source in self._kept.items() if key.upstream == upstream
        )

    def _named(self) -> set[tuple[str, str]]:
        return {(e.upstream, e.name) for source in self._kept.values() for e in source.endpoints()}
