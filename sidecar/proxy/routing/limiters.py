"""The limits of a route; their counts survive reloads."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Final

from sidecar.policy.rate import Keyed
from sidecar.proxy.layers.affinity import client_of
from sidecar.proxy.layers.limits import Limiter, LimiterSettings, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.config.model import CallLimits, ClientLimits, Clients
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.routing.shared_state import Transaction


_KEYS: Final = (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")


def limited(
    inner: Layer,
    config: CallLimits,
    route: str,
    transaction: Transaction,
    counted: Callable[[str], None],
) -> Layer:
    """Return *inner*, behind the limits of *route* if it has any."""
    whole, clients = _settings(config), None
    limiter = None
    if whole is not None:
        wanted = whole
        limiter = transaction.get(
            ("limit", route), lambda: Limiter(wanted), lambda kept: kept.configure(wanted)
        )
    if config.client is not None:
        clients = _clients(config.client, route, transaction)
    if limiter is None and clients is None:
        return inner
    return Limits(inner, limiter, clients, client_by(config.client), counted)


def _clients(config: ClientLimits, route: str, transaction: Transaction) -> Keyed[Limiter]:
    wanted = _settings(config) or LimiterSettings()
    return transaction.get(
        ("client limits", route, config.by, config.header),
        lambda: Keyed(partial(Limiter, wanted), config.max_clients),
        partial(_configure, wanted=wanted, max_clients=config.max_clients),
    )


def _configure(clients: Keyed[Limiter], wanted: LimiterSettings, max_clients: int) -> None:
    clients.make, clients.max_keys = partial(Limiter, wanted), max_clients
    for limiter in clients.limiters():
        limiter.configure(wanted)


def _settings(config: CallLimits | ClientLimits) -> LimiterSettings | None:
    if config.rate is None and config.concurrency is None:
        return None
    rate = config.rate
    if rate is None:
        return LimiterSettings(concurrency=config.concurrency)
    burst = rate.burst if rate.burst is not None else max(1, round(rate.per_second))
    return LimiterSettings(rate.per_second, burst, config.concurrency)


def client_by(config: Clients | None) -> Callable[[Call], str]:
    """Return a function that identifies clients: as *config* says, or else by address."""
    if config is not None and config.by == "key":
        return _key_of
    if config is not None and config.by == "connection":
        return lambda call: call.downstream.connection
    if config is None or config.header is None:
        return client_of
    name = config.header.lower().encode()
    return lambda call: call.head.fields.get(name, b"").decode("latin-1") or client_of(call)


def _key_of(call: Call) -> str:
    """Return the caller's name, or a digest of its key, so that no key is kept; or its address."""
    if call.caller:
        return call.caller
    fields = call.head.fields
    for name in _KEYS:
        key = fields.get(name)
        if key:
            return hashlib.blake2b(key, digest_size=16).hexdigest()
    return client_of(call)
