"""Rows of the live page about routes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sidecar.control.live.view import Row

if TYPE_CHECKING:
    from sidecar.observe.stats import RouteStats


def configured(routes: Iterable[Mapping[str, Any]]) -> dict[str, Row]:
    """Return what the configuration says of routes, by name.

    *routes* are in the order in which they are tried, as `Inspected.routes` shows them. Several
    may have one name: they are counted together.
    """
    rows: dict[str, Row] = {}
    for number, route in enumerate(routes):
        row = rows.setdefault(
            route["name"],
            {"n": number, "name": route["name"], "match": [], "upstreams": [], "policies": []},
        )
        row["match"].append(route["match"])
        for one, many in (("upstream", "upstreams"), ("policy", "policies")):
            if route[one] and route[one] not in row[many]:
                row[many].append(route[one])
    return rows


def numbers(stats: Iterable[RouteStats]) -> Row:
    """Add up the counts of one route, which has *stats* for each of its upstreams."""
    row: Row = {
        "in_flight": 0,
        "calls": 0,
        "outcomes": {},
        "statuses": {},
        "errors": {},
        "retries": {},
        "fallbacks": {},
        "limited": {},
        "cache": {},
        "hedges": 0,
        "hedges_won": 0,
        "budget_exhausted": 0,
        "input": 0,
        "output": 0,
        "cost": 0.0,
        "saved": 0.0,
    }
    for one in stats:
        row["in_flight"] += one.in_flight
        row["hedges"] += one.hedges
        row["hedges_won"] += one.hedges_won
        row["budget_exhausted"] += one.budget_exhausted
        row["saved"] += one.saved.cost
        _add(row["statuses"], one.statuses)
        _add(row["errors"], one.errors)
        _add(row["retries"], one.retries)
        _add(row["fallbacks"], one.fallbacks)
        _add(row["limited"], one.limited)
        _add(row["cache"], one.cache)
        for outcome, times in one.durations.copy().items():
            ended = sum(times.counts)
            row["outcomes"][outcome] = row["outcomes"].get(outcome, 0) + ended
        for spent in one.models.spent.copy().values():
            row["input"] += spent.input + spent.estimated_input
            row["output"] += spent.output + spent.estimated_output
            row["cost"] += spent.cost
            row["saved"] += spent.saved
    row["calls"] = sum(row["outcomes"].values())
    row["cost"], row["saved"] = round(row["cost"], 9), round(row["saved"], 9)
    return row


def _add(to: dict[Any, int], counts: Mapping[Any, int]) -> None:
    for key, count in dict(counts).items():
        to[key] = to.get(key, 0) + count
