"""Every metric: its name, its help, its labels, and where its number is read. One file a concern.

The numbers belong to the data plane's loop, and are read from the admin server's thread while that
loop goes on adding: each mapping is copied in one step before it is walked.
"""

from typing import Final

from sidecar.control.metrics import (
    endpoints,
    layers,
    limits,
    listeners,
    models,
    process,
    routes,
    stores,
    upstreams,
)
from sidecar.control.metrics.family import Metric

METRICS: Final[tuple[Metric, ...]] = (
    *routes.METRICS,
    *models.METRICS,
    *layers.METRICS,
    *endpoints.METRICS,
    *upstreams.METRICS,
    *listeners.METRICS,
    *limits.METRICS,
    *process.METRICS,
    *stores.METRICS,
)
