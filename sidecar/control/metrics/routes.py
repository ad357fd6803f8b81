"""Metrics of routes: calls as their applications saw them."""

from __future__ import annotations

from typing import Final

from sidecar.control.metrics.family import Metric, MetricsOf
from sidecar.observe.stats import RouteStats

ROUTES: Final = MetricsOf[RouteStats](
    ("route", "upstream"), lambda stats: dict(stats.routes).items()
)

METRICS: Final[tuple[Metric, ...]] = (
    ROUTES.counts(
        "calls",
        "status",
        "Calls that have ended, by the status sent; 0 if the caller left first.",
        lambda route: route.statuses,
    ),
    ROUTES.counts(
        "replies",
        "verdict",
        "Replies that were read, by how they ended: complete, error, truncated, stalled, aborted, "
        "empty.",
        lambda route: route.verdicts,
    ),
    ROUTES.counts(
        "reply_failures",
        "kind",
        "Failures that replies told, by kind: rate_limit, overload, money, content_filter, "
        "context_length, bad_request, authentication, server.",
        lambda route: route.failures,
    ),
    ROUTES.counts(
        "call_errors",
        "code",
        "Calls that the sidecar failed or the caller left, by error code.",
        lambda route: route.errors,
    ),
    ROUTES.gauge("calls_in_flight", "Calls in flight.", lambda route: route.in_flight),
    ROUTES.histograms(
        "call_duration_seconds",
        "outcome",
        "Time from a call's head to its end, by what became of it: ok, failed, caller_error, "
        "limited, left.",
        lambda route: route.durations,
    ),
    ROUTES.histogram(
        "call_first_byte_seconds",
        "Time from a call's head to the first byte of its reply, of calls that went well.",
        lambda route: route.first_byte,
    ),
    ROUTES.counter(
        "request_bytes",
        "Bytes of request bodies received from applications.",
        lambda route: route.bytes_in,
    ),
    ROUTES.counter(
        "response_bytes",
        "Bytes of reply bodies sent to applications.",
        lambda route: route.bytes_out,
    ),
    ROUTES.counts(
        "retries",
        "reason",
        "Retries, by the status or error code of the attempt before.",
        lambda route: route.retries,
    ),
    ROUTES.counter(
        "retry_budget_exhausted",
        "Retries that the retry budget did not allow.",
        lambda route: route.budget_exhausted,
    ),
    ROUTES.counter(
        "hedges", "Hedges: second attempts sent beside slow ones.", lambda route: route.hedges
    ),
    ROUTES.counter(
        "hedges_won",
        "Hedges that answered before the first attempt.",
        lambda route: route.hedges_won,
    ),
    ROUTES.counts(
        "fallbacks",
        "to",
        "Calls that fell back to another upstream.",
        lambda route: route.fallbacks,
    ),
    ROUTES.counts(
        "mirrored",
        "result",
        "Copies of calls sent to mirrors, by status or error code.",
        lambda route: route.mirrored,
    ),
    ROUTES.counts(
        "limited",
        "code",
        "Calls refused by a limit of the route, by error code.",
        lambda route: route.limited,
    ),
)
