"""The paces of an upstream's quotas; what is known of these survives reloads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sidecar.proxy.layers.charges import Charges
from sidecar.proxy.layers.pace import Paced
from sidecar.proxy.layers.turns import Quota, Turns
from sidecar.proxy.routing.key_pools import name_of, pooled

if TYPE_CHECKING:
    from sidecar.config.model.limits import Pace
    from sidecar.proxy.layers.keys import Keys
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.routing.stack import Parts


def paced(parts: Parts, upstream: str, config: Pace, attempt: Layer) -> Paced | Keys:
    """Wrap *attempt* so that it waits for its turn at the quota of *upstream*, or of its key."""
    keys = parts.configs[upstream].credentials
    if isinstance(keys, tuple):
        quotas = {
            name_of(key, index): _quota(
                parts, upstream, config, key.quota or config.quota, name_of(key, index)
            )
            for index, key in enumerate(keys)
        }
        turns = _turns(parts, upstream, config, next(iter(quotas.values())))
        return pooled(parts, upstream, keys, attempt, (turns, quotas))
    quota = _quota(parts, upstream, config, config.quota)
    return Paced(attempt, _turns(parts, upstream, config, quota), quota)


def _quota(
    parts: Parts, upstream: str, config: Pace, named: str | None, key: str | None = None
) -> Quota:
    """Return the quota with the word *named*; None: the upstream or its *key* has its own."""
    name = named or (upstream if key is None else f"{upstream}/{key}")
    # A quota's name may also be an upstream's, which has nothing to do with it.
    quota: Quota = parts.transaction.get(
        ("pace", named is not None, name), partial(Quota, name), Quota.alone
    )
    if config.redis and parts.store.redis is not None:
        # Late: where nothing is shared, none of this is imported.
        from sidecar.proxy.routing.exchanging import exchanging
        from sidecar.store.shared_paces import SharedPaces

        exchange = exchanging(parts, parts.store.redis)
        shared = parts.transaction.get(
            ("shared pace", named is not None, name, parts.store.redis),
            partial(SharedPaces, exchange, name),
        )
        parts.transaction.changes.append(shared.start)
        parts.transaction.changes.append(partial(setattr, quota, "shared", shared))
    parts.transaction.changes.append(partial(parts.counts.quotas.__setitem__, name, quota))
    return quota


def _turns(parts: Parts, upstream: str, config: Pace, quota: Quota) -> Turns:
    charges = Charges(parts.configs[upstream].dialect, int(parts.effective(upstream).policy.hold))
    return Turns(charges, quota.outputs, float(config.max_wait), config.max_waiting)
