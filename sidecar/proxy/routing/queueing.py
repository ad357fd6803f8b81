"""The layer of an upstream that bounds its calls in flight."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from sidecar.policy.admission import Admission as Policy
from sidecar.proxy.layers.admission import Admission
from sidecar.proxy.routing.limiters import client_by

if TYPE_CHECKING:
    from sidecar.config.model import Admission as Config
    from sidecar.policy.admission import AdmissionSettings
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.routing.stack import Parts


def places_at(parts: Parts, upstream: str, config: Config) -> Policy:
    """Return the limit on the calls in flight at *upstream*, hedges included."""
    wanted = config.settings()
    policy: Policy = parts.transaction.get(
        ("admission", upstream), lambda: Policy(wanted), partial(_set, wanted=wanted)
    )
    parts.transaction.changes.append(
        partial(setattr, parts.counts.upstream(upstream), "queue", policy)
    )
    return policy


def queued(parts: Parts, upstream: str, config: Config, places: Policy, inner: Layer) -> Layer:
    """Return *inner*, behind the queue for *places*."""
    client = client_by(config.clients)
    return Admission(inner, places, client, upstream, parts.counts.upstream(upstream))


def _set(policy: Policy, wanted: AdmissionSettings) -> None:
    policy.settings = wanted
    policy.adjust(time.monotonic())
