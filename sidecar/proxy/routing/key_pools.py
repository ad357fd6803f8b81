"""Makes the pool of an upstream's keys, which all routes share and reloads keep."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sidecar.policy.key_pool import KeyPool, KeySettings
from sidecar.proxy.layers.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sidecar.config.model import Key
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.layers.turns import Quota, Turns
    from sidecar.proxy.routing.stack import Parts


def pooled(
    parts: Parts,
    upstream: str,
    keys: tuple[Key, ...],
    attempt: Layer,
    pace: tuple[Turns, Mapping[str, Quota]] | None = None,
) -> Keys:
    """Wrap *attempt* so that it authenticates with one of *keys*.

    *pace*: what gives turns, and the quota of each key by its name.
    """
    settings = tuple(_settings(keys))
    pool = parts.transaction.get(
        ("keys", upstream),
        lambda: KeyPool(settings),
        lambda kept: kept.configure(settings),
    )
    parts.transaction.changes.append(
        partial(setattr, parts.counts.upstream(upstream), "keys", pool)
    )
    return Keys(attempt, pool, upstream, pace)


def name_of(key: Key, index: int) -> str:
    """Return the name of *key*, which is at *index* in the list."""
    return key.name or f"key-{index + 1}"


def _settings(keys: tuple[Key, ...]) -> Iterator[KeySettings]:
    removed = {key.header.lower().encode(): b"" for key in keys}
    for index, key in enumerate(keys):
        name = key.header.encode()
        line = b"\r\n%b: %b" % (name, key.value.encode())
        edits = {**removed, name.lower(): line}
        yield KeySettings(name_of(key, index), key.value, edits, key.quota, key.weight)
