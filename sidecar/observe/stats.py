"""Plain numbers that the hot path adds to and the exporter reads: no lock, no label look-up.

The data plane's loop is the only writer; other threads only read, and a torn read costs nothing
but a count that is one behind.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import Final

SECONDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
)  # fmt: skip
"""Bucket bounds, from a cached reply to a reasoning model's."""


class Histogram:
    """Counts of observations per bucket (the last is +Inf), not cumulative, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count *value* in the bucket whose upper bound it does not pass."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class RouteStats:
    """Calls of one route, as the application saw them."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "duration",
        "errors",
        "first_byte",
        "in_flight",
        "statuses",
    )

    def __init__(self) -> None:
        self.in_flight = 0
        self.statuses: defaultdict[int, int] = defaultdict(int)
        """Ended calls by the status sent downstream; 0 when the caller left before one was."""
        self.errors: defaultdict[str, int] = defaultdict(int)
        """Calls that we failed, by `x-sidecar-error` code."""
        self.duration = Histogram()
        self.first_byte = Histogram()
        self.bytes_in = 0
        self.bytes_out = 0


class EndpointStats:
    """Attempts at one endpoint, and the connections to it."""

    __slots__ = (
        "attempts", "bytes_in", "bytes_out", "connect", "connect_errors", "connects", "errors",
        "idle", "in_flight", "open", "replays", "tunnels", "waiting",
    )  # fmt: skip

    def __init__(self) -> None:
        self.attempts: defaultdict[int, int] = defaultdict(int)
        """Ended attempts by upstream status; 0 when no head came."""
        self.errors: defaultdict[str, int] = defaultdict(int)
        """Attempts that failed, by error code."""
        self.in_flight = 0
        self.tunnels = 0
        """Open upgraded connections (WebSocket)."""
        self.connect = Histogram()
        self.connects = 0
        self.connect_errors = 0
        self.replays = 0
        """Requests sent again because a reused connection had died."""
        self.open = 0
        self.idle = 0
        self.waiting = 0
        self.bytes_out = 0
        """Request body bytes sent upstream."""
        self.bytes_in = 0
        """Reply body bytes received."""


class ListenerStats:
    """Connections at one listener."""

    __slots__ = (
        "accepted", "decisions", "open", "passed_in", "passed_out", "passing", "refused",
    )  # fmt: skip

    def __init__(self) -> None:
        self.accepted = 0
        self.open = 0
        self.decisions: defaultdict[str, int] = defaultdict(int)
        """What became of connections that might be intercepted (`listen.decide.Decision`)."""
        self.passing = 0
        """Connections being passed through."""
        self.passed_out = 0
        """Bytes of clients that were passed through."""
        self.passed_in = 0
        """Bytes of servers that were."""
        self.refused: defaultdict[int, int] = defaultdict(int)
        """Messages refused before they were calls, by status (400, 408, 413, 414, 431, ...)."""


class ReloadStats:
    """What became of configuration reloads."""

    __slots__ = (
        "accepted",
        "config_hash",
        "last_accepted",
        "last_error",
        "rejected",
        "unchanged",
    )

    def __init__(self) -> None:
        self.accepted = 0
        self.rejected = 0
        self.unchanged = 0
        self.last_accepted = 0.0
        """Unix seconds; 0 when there was none."""
        self.last_error = ""
        """All errors of the last bad configuration, empty once a good one was taken."""
        self.config_hash = ""


class Stats:
    """Everything that is counted, by the names that label it."""

    __slots__ = ("endpoints", "listeners", "log_dropped", "reloads", "routes", "started")

    def __init__(self, started: float) -> None:
        self.started = started
        """Unix seconds."""
        self.routes: dict[tuple[str, str], RouteStats] = {}
        """By (route, upstream)."""
        self.endpoints: dict[tuple[str, str], EndpointStats] = {}
        """By (upstream, endpoint address)."""
        self.listeners: dict[str, ListenerStats] = {}
        """By address."""
        self.reloads = ReloadStats()
        self.log_dropped = 0
