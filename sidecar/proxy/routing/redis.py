"""The store that a configuration names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.store.redis_store import RedisSettings, RedisStore

if TYPE_CHECKING:
    from sidecar.config.model.cache import Redis


def redis_store(redis: Redis, connections: int | None = None) -> RedisStore:
    """Return the store of *redis*. Raise OSError if it can't be had."""
    sentinels = (each.rpartition(":") for each in redis.sentinels)
    settings = RedisSettings(
        redis.url,
        redis.username,
        redis.password,
        redis.ca,
        redis.cert,
        redis.key,
        tuple((host, int(port)) for host, _, port in sentinels),
        redis.master or "",
        redis.cluster,
    )
    if connections is not None:
        settings = settings._replace(connections=connections)
    return RedisStore(settings)
