"""The limits on tokens of a route at one upstream; what was used survives reloads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sidecar.policy.meter import Bounds
from sidecar.policy.token_limits import TokenLimits as Policy
from sidecar.policy.token_limits import TokenSettings
from sidecar.proxy.layers.tokens import Tokens, Turns
from sidecar.proxy.routing.limiters import client_by

if TYPE_CHECKING:
    from sidecar.config.model.limits import ClientTokens, TokenBounds, TokenLimits
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.routing.stack import Parts
    from sidecar.store.exchange import Exchange


def token_limited(parts: Parts, upstream: str, config: TokenLimits, stack: Layer) -> Layer:
    """Wrap *stack*, which asks *upstream*, in the limits of its route there."""
    wanted = _settings(config)
    redis = parts.store.redis if config.redis else None
    exchange = None
    if redis is not None:
        # Late: where nothing is shared, none of this is imported.
        from sidecar.proxy.routing.exchanging import exchanging

        exchange = exchanging(parts, redis)
    turns = parts.transaction.get(
        ("token limits", parts.name, upstream, redis),
        lambda: _turns(exchange, parts.name, upstream, wanted),
        lambda kept: kept.configure(wanted),
    )
    if turns.shared is not None:
        parts.transaction.changes.append(turns.shared.start)
    parts.transaction.changes.append(
        partial(parts.counts.token_limits.__setitem__, (parts.name, upstream), turns.policy)
    )
    return Tokens(
        stack,
        turns,
        parts.configs[upstream].dialect,
        client_by(config.client),
        int(parts.effective(upstream).policy.hold),
        config.when_exceeded,
        parts.stats,
    )


def _turns(exchange: Exchange | None, route: str, upstream: str, wanted: TokenSettings) -> Turns:
    if exchange is None:
        return Turns(Policy(wanted))
    from sidecar.store.shared_limits import SharedLimits

    shared = SharedLimits(exchange, route, upstream)
    return Turns(Policy(wanted, shared.meter), shared)


def _settings(config: TokenLimits) -> TokenSettings:
    waits = config.when_exceeded == "wait"
    return TokenSettings(
        _bounds(config),
        None if config.model is None else _bounds(config.model),
        None if config.client is None else _bounds(config.client),
        1 if config.model is None else config.model.max_models,
        1 if config.client is None else config.client.max_clients,
        config.max_waiting if waits else 0,
        float(config.max_wait),
    )


def _bounds(config: TokenBounds | ClientTokens) -> Bounds | None:
    bounds = Bounds(config.requests, config.input, config.output, config.total)
    return bounds if any(bound is not None for bound in bounds) else None
