"""What an endpoint says of its own load."""

from __future__ import annotations

from typing import NamedTuple


class Report(NamedTuple):
    """Requests that it has waiting and running; shares, 0 to 1, of its cache and its processor."""

    queued: float = 0
    running: float = 0
    kv_used: float = 0
    utilization: float = 0
