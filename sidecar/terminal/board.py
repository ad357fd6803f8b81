"""What the sidecar's stream of events says, kept for a minute: rates, shares, times. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

Row = dict[str, Any]
Counts = Mapping[str, float]

BUCKET: Final = 1.1
"""How much wider each bucket of the stream's times is than the one before; 0 ends at 1 ms."""
_BIN: Final = 5
"""Seconds of a bin of the history in the first message."""
MINUTE: Final = 60.0
_SOON: Final = 10.0
"""Seconds over which calls a second are reckoned."""


class RouteRates(NamedTuple):
    """A route, now. None where nothing is known."""

    name: str
    in_flight: int
    calls_s: float | None
    """Over the last seconds; the rest over a minute."""
    ok: int
    failed: int
    first_p50_ms: float | None
    """To the first token, of whole answers."""
    first_p95_ms: float | None
    tokens_min: float | None
    cost_min: float | None
    again: int
    """Retries, hedges and fallbacks."""


class EndpointRates(NamedTuple):
    """An endpoint, now."""

    upstream: str
    name: str
    state: str
    reason: str
    in_flight: int
    attempts_s: float | None
    ok: int
    failed: int
    latency_ms: float


class Sample(NamedTuple):
    """The counts at one moment."""

    at: float
    routes: dict[str, Counts]
    endpoints: dict[str, Counts]


class Board:
    """Takes the messages of `/events`; a snapshot begins anew."""

    def __init__(self) -> None:
        self.at = 0.0
        """The sidecar's time of the last message; Unix seconds."""
        self.tables: dict[str, dict[str, Row]] = {}
        self._samples: deque[Sample] = deque()
        self._firsts: deque[tuple[float, dict[str, dict[int, int]]]] = deque()

    @property
    def state(self) -> Row:
        """The state of the process and its configuration."""
        return self.tables["state"][""]

    def take(self, kind: str, data: Mapping[str, Any]) -> None:
        """Take a message."""
        self.at = data["at"]
        if kind == "snapshot":
            self.tables = data["tables"]
            self._samples.clear()
            self._firsts.clear()
            self._remember(data["history"])
        else:
            for name, of in data["tables"].items():
                rows = self.tables.setdefault(name, {})
                for key, fields in of.get("set", {}).items():
                    rows.setdefault(key, {}).update(fields)
                for key in of.get("gone", ()):
                    rows.pop(key, None)
            self._see(self.at, data["seen"])
        self._samples.append(self._sample())
        while len(self._samples) > 2 and self._samples[1].at < self.at - MINUTE:
            self._samples.popleft()
        while self._firsts and self._firsts[0][0] < self.at - MINUTE:
            self._firsts.popleft()

    def routes(self) -> list[RouteRates]:
        """Return the routes as they are configured."""
        firsts = self._buckets()
        counts = [sample.routes for sample in self._samples]
        grown = Grown([sample.at for sample in self._samples], counts)
        rows = sorted(self.tables.get("routes", {}).items(), key=lambda of: of[1]["n"])
        return [_route(name, row, grown, firsts.get(name, {})) for name, row in rows]

    def endpoints(self) -> list[EndpointRates]:
        """Return the endpoints as they are configured."""
        counts = [sample.endpoints for sample in self._samples]
        grown = Grown([sample.at for sample in self._samples], counts)
        rows = sorted(self.tables.get("endpoints", {}).items(), key=lambda of: of[1]["n"])
        return [_endpoint(key, row, grown) for key, row in rows]

    def _sample(self) -> Sample:
        return Sample(
            self.at,
            {name: _route_counts(row) for name, row in self.tables.get("routes", {}).items()},
            {key: _endpoint_counts(row) for key, row in self.tables.get("endpoints", {}).items()},
        )

    def _see(self, at: float, seen: Mapping[str, Any]) -> None:
        buckets = {
            name: {int(bucket): count for bucket, count in of.get("first", {}).items()}
            for name, of in seen.items()
            if of.get("first")
        }
        if buckets:
            self._firsts.append((at, buckets))

    def _remember(self, history: Mapping[str, Mapping[str, Any]]) -> None:
        ages = sorted({int(age) for bins in history.values() for age in bins}, reverse=True)
        for age in ages:
            if age * _BIN < MINUTE:
                seen = {name: bins[str(age)] for name, bins in history.items() if str(age) in bins}
                self._see(self.at - age * _BIN, seen)

    def _buckets(self) -> dict[str, dict[int, int]]:
        found: dict[str, dict[int, int]] = {}
        for _, buckets in self._firsts:
            for name, of in buckets.items():
                into = found.setdefault(name, {})
                for bucket, count in of.items():
                    into[bucket] = into.get(bucket, 0) + count
        return found


class Grown:
    """How counts have grown: *counts* at each of the times *at*, the oldest first."""

    def __init__(self, at: list[float], counts: list[dict[str, Counts]]) -> None:
        self._at = at
        self._counts = counts

    def rate(self, key: str, name: str, seconds: float) -> float | None:
        """Return by how much a count grows in a second; None for what is known only just now."""
        first = self._first(key, seconds)
        took = self._at[-1] - self._at[first]
        return self._by(key, name, first) / took if took > 0 else None

    def more(self, key: str, name: str) -> float:
        """Return by how much a count has grown within a minute."""
        return self._by(key, name, self._first(key, MINUTE))

    def _by(self, key: str, name: str, first: int) -> float:
        """A count that is less than it was began anew."""
        return float(max(0.0, self._counts[-1][key][name] - self._counts[first][key][name]))

    def _first(self, key: str, seconds: float) -> int:
        """Return the latest place that is *seconds* old, or else the first one that has *key*."""
        begin = max(0, bisect_right(self._at, self._at[-1] - seconds) - 1)
        return next(n for n in range(begin, len(self._at)) if key in self._counts[n])


def quantile(buckets: Mapping[int, int], part: float) -> float | None:
    """Return the time in ms below which *part* of the counts lies, within 5 %; None for none."""
    left = part * sum(buckets.values())
    if not left:
        return None
    for bucket in sorted(buckets):
        left -= buckets[bucket]
        if left <= 0:
            break
    return BUCKET**bucket / (BUCKET**0.5 if bucket else 1.0)


def _route(name: str, row: Row, grown: Grown, firsts: dict[int, int]) -> RouteRates:
    return RouteRates(
        name,
        row["in_flight"],
        grown.rate(name, "calls", _SOON),
        int(grown.more(name, "ok")),
        int(grown.more(name, "failed")),
        quantile(firsts, 0.5),
        quantile(firsts, 0.95),
        _times(grown.rate(name, "tokens", MINUTE), 60),
        _times(grown.rate(name, "cost", MINUTE), 60),
        int(grown.more(name, "again")),
    )


def _endpoint(key: str, row: Row, grown: Grown) -> EndpointRates:
    failed = grown.more(key, "failed")
    return EndpointRates(
        row["upstream"],
        row["name"],
        row["state"],
        row["reason"],
        row["in_flight"],
        grown.rate(key, "attempts", _SOON),
        max(0, int(grown.more(key, "attempts") - failed)),
        int(failed),
        row["latency_ms"],
    )


def _times(rate: float | None, by: float) -> float | None:
    return None if rate is None else rate * by


def _route_counts(row: Row) -> Counts:
    outcomes = row["outcomes"]
    return {
        "calls": row["calls"],
        "ok": outcomes.get("ok", 0),
        "failed": outcomes.get("failed", 0),
        "tokens": row["input"] + row["output"],
        "cost": row["cost"],
        "again": sum(row["retries"].values()) + sum(row["fallbacks"].values()) + row["hedges"],
    }


def _endpoint_counts(row: Row) -> Counts:
    bad = sum(count for status, count in row["statuses"].items() if status.startswith("5"))
    return {"attempts": row["attempts"], "failed": bad + sum(row["errors"].values())}
