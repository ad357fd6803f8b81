"""The pace of an upstream; what is known of its quota survives reloads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sidecar.proxy.layers.charges import Charges
from sidecar.proxy.layers.pace import Paced, Quota

if TYPE_CHECKING:
    from sidecar.config.model.limits import Pace
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.routing.stack import Parts


def paced(parts: Parts, upstream: str, config: Pace, stack: Layer) -> Layer:
    """Wrap *stack*, which makes one try at *upstream*, in the pace of its quota."""
    name = config.quota or upstream
    # A quota's name may also be an upstream's, which has nothing to do with it.
    quota = parts.transaction.get(("pace", config.quota is not None, name), Quota)
    parts.transaction.changes.append(partial(parts.counts.quotas.__setitem__, name, quota))
    charges = Charges(parts.configs[upstream].dialect, int(parts.effective(upstream).policy.hold))
    return Paced(stack, quota, charges, name, float(config.max_wait), config.max_waiting)
