"""The exchange in which a sidecar shares limits, budgets and paces with others."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sidecar.observe.store_stats import ExchangeStats
from sidecar.proxy.routing.redis import redis_store
from sidecar.store.exchange import Exchange

if TYPE_CHECKING:
    from sidecar.config.model.cache import Redis
    from sidecar.proxy.routing.stack import Parts

_CONNECTIONS = 4
"""Rounds come one after another. A cluster is asked for several keys at once."""


def exchanging(parts: Parts, redis: Redis) -> Exchange:
    """Return the exchange with *redis*. Raise OSError if it can't be had."""
    exchange = parts.transaction.get(("exchange", redis), partial(_exchange, redis))
    parts.transaction.changes.append(exchange.start)
    parts.transaction.changes.append(partial(setattr, parts.counts, "exchange", exchange.stats))
    return exchange


def _exchange(redis: Redis) -> Exchange:
    secret = b"" if redis.secret is None else redis.secret.encode()
    return Exchange(redis_store(redis, _CONNECTIONS), redis.prefix, secret, ExchangeStats())
