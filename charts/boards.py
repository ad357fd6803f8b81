"""What the chart's Grafana dashboards show.

A panel is a title, a unit and its queries. `{}` in a query stands for the variables of its
dashboard, as label matchers.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Panel(NamedTuple):
    """One graph: queries with the legends of their lines."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    about: str = ""


class Row(NamedTuple):
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]
    open: bool = True


class Board(NamedTuple):
    """One dashboard."""

    name: str
    title: str
    variables: tuple[tuple[str, str], ...]
    """Labels that one can choose by, each with a metric that has it. They narrow each other."""
    rows: tuple[Row, ...]


def _rate(metric: str, by: str, more: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{{}}{more}}}[$__rate_interval]))"


def _rate_by_route(metric: str, by: str) -> str:
    """For metrics that have not all labels of their dashboard."""
    of_route = '{namespace=~"$namespace", route=~"$route"}'
    return f"sum by ({by}) (rate({metric}{of_route}[$__rate_interval]))"


def _quantiles(metric: str, by: str = "", more: str = "") -> tuple[tuple[str, str], ...]:
    """Median, p95 and p99; or one line of p95 for each value of *by*."""
    buckets = f"rate({metric}_bucket{{{{}}{more}}}[$__rate_interval])"
    if by:
        return ((f"histogram_quantile(0.95, sum by (le, {by}) ({buckets}))", f"{{{{{by}}}}}"),)
    return tuple(
        (f"histogram_quantile({share}, sum by (le) ({buckets}))", name)
        for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    )


TRAFFIC: Final = Board(
    "traffic",
    "LLM sidecars: traffic",
    (
        ("namespace", "sidecar_build_info"),
        ("route", "sidecar_calls_in_flight"),
        ("upstream", "sidecar_calls_in_flight"),
    ),
    (
        Row(
            "Calls",
            (
                Panel(
                    "Calls a second, by outcome",
                    "reqps",
                    ((_rate("sidecar_call_duration_seconds_count", "outcome"), "{{outcome}}"),),
                    "What counts as ok stands in the page on service level objectives.",
                ),
                Panel(
                    "Calls that were answered",
                    "percentunit",
                    (
                        (
                            _rate("sidecar_call_duration_seconds_count", "route", ', outcome="ok"')
                            + " / "
                            + _rate(
                                "sidecar_call_duration_seconds_count",
                                "route",
                                ', outcome=~"ok|failed"',
                            ),
                            "{{route}}",
                        ),
                    ),
                    "Of those that could have been: not those that callers got wrong or left.",
                ),
                Panel(
                    "Calls a second, by status",
                    "reqps",
                    ((_rate("sidecar_calls_total", "status"), "{{status}}"),),
                    "The status that was sent; 0: the caller had left.",
                ),
                Panel(
                    "Failures that providers told, by kind",
                    "reqps",
                    ((_rate("sidecar_reply_failures_total", "kind"), "{{kind}}"),),
                ),
                Panel(
                    "Calls that failed here, by code",
                    "reqps",
                    ((_rate("sidecar_call_errors_total", "code"), "{{code}}"),),
                    "What each code means stands in Operations, Errors.",
                ),
                Panel(
                    "Calls in flight",
                    "short",
                    (("sum by (route) (sidecar_calls_in_flight{{}})", "{{route}}"),),
                ),
            ),
        ),
        Row(
            "Latency",
            (
                Panel(
                    "Time to the first token",
                    "s",
                    _quantiles("sidecar_first_token_seconds"),
                    "Of streams that ended well, from a call's head to its first content.",
                ),
                Panel(
                    "Time to the first token, p95 by model",
                    "s",
                    _quantiles("sidecar_first_token_seconds", "model"),
                    "The model that callers asked for.",
                ),
                Panel(
                    "Duration of calls that were answered",
                    "s",
                    _quantiles("sidecar_call_duration_seconds", more=', outcome="ok"'),
                ),
                Panel(
                    "Time between pieces of the answer, p95 by model",
                    "s",
                    _quantiles("sidecar_output_chunk_seconds", "model"),
                ),
                Panel(
                    "Output tokens a second of a stream",
                    "short",
                    _quantiles("sidecar_output_tokens_per_second"),
                ),
                Panel(
                    "How replies ended",
                    "reqps",
                    ((_rate("sidecar_replies_total", "verdict"), "{{verdict}}"),),
                ),
            ),
        ),
        Row(
            "Resilience",
            (
                Panel(
                    "Retries a second, by reason",
                    "reqps",
                    (
                        (_rate("sidecar_retries_total", "reason"), "{{reason}}"),
                        (
                            _rate("sidecar_retry_budget_exhausted_total", "upstream"),
                            "{{upstream}}: no budget left",
                        ),
                    ),
                    "The status or code of the attempt before. Without budget, none is made.",
                ),
                Panel(
                    "Fallbacks and hedges a second",
                    "reqps",
                    (
                        (
                            _rate("sidecar_fallbacks_total", "upstream, to"),
                            "{{upstream}} to {{to}}",
                        ),
                        (_rate("sidecar_hedges_total", "upstream"), "{{upstream}} hedged"),
                        (_rate("sidecar_hedges_won_total", "upstream"), "{{upstream}} hedge won"),
                    ),
                ),
                Panel(
                    "Calls that a limit refused, a second",
                    "reqps",
                    ((_rate("sidecar_limited_total", "route, code"), "{{route}} {{code}}"),),
                ),
            ),
        ),
        Row(
            "Sidecars",
            (
                Panel(
                    "Sidecars that refused their last configuration",
                    "short",
                    (
                        (
                            "count(sidecar_config_last_reload_successful"
                            '{namespace=~"$namespace"} == 0) or vector(0)',
                            "refused",
                        ),
                    ),
                    "Their logs say why; the last good one keeps serving.",
                ),
                Panel(
                    "Configurations in use",
                    "short",
                    (
                        (
                            'count by (hash) (sidecar_config_info{namespace=~"$namespace"})',
                            "{{hash}}",
                        ),
                    ),
                    "More than one line for long: somebody missed a change.",
                ),
                Panel(
                    "Body bytes a second",
                    "Bps",
                    (
                        (
                            "sum(rate(sidecar_request_bytes_total{{}}[$__rate_interval]))",
                            "requests",
                        ),
                        (
                            "sum(rate(sidecar_response_bytes_total{{}}[$__rate_interval]))",
                            "replies",
                        ),
                    ),
                ),
                Panel(
                    "Reviews by the injector",
                    "reqps",
                    (
                        (
                            "sum by (result) "
                            "(rate(sidecar_injector_reviews_total[$__rate_interval]))",
                            "{{result}}",
                        ),
                    ),
                ),
                Panel(
                    "The injector's certificate ends in",
                    "s",
                    (
                        (
                            "min(sidecar_injector_certificate_expiry_timestamp_seconds) - time()",
                            "left",
                        ),
                    ),
                ),
            ),
            open=False,
        ),
    ),
)

TOKENS: Final = Board(
    "tokens",
    "LLM sidecars: tokens and money",
    (
        ("namespace", "sidecar_build_info"),
        ("route", "sidecar_tokens_total"),
        ("model", "sidecar_tokens_total"),
        ("team", "sidecar_tokens_total"),
    ),
    (
        Row(
            "Money",
            (
                Panel(
                    "Cost an hour, by model",
                    "short",
                    (
                        (
                            "3600 * " + _rate("sidecar_cost_total", "model"),
                            "{{model}}",
                        ),
                    ),
                    "In the currency of the configuration's prices; the model that answered.",
                ),
                Panel(
                    "Cost an hour, by team",
                    "short",
                    (("3600 * " + _rate("sidecar_cost_total", "team"), "{{team}}"),),
                    "Empty where no trusted header names one.",
                ),
                Panel(
                    "Cost in the time that is shown, by route",
                    "short",
                    (("sum by (route) (increase(sidecar_cost_total{{}}[$__range]))", "{{route}}"),),
                ),
            ),
        ),
        Row(
            "Tokens",
            (
                Panel(
                    "Tokens a second, by kind",
                    "short",
                    ((_rate("sidecar_tokens_total", "kind"), "{{kind}}"),),
                    "Tokens of the cache are parts of input, reasoning is a part of output.",
                ),
                Panel(
                    "Output tokens a second, by model",
                    "short",
                    ((_rate("sidecar_tokens_total", "model", ', kind="output"'), "{{model}}"),),
                ),
                Panel(
                    "Input tokens from the provider's cache",
                    "percentunit",
                    (
                        (
                            _rate("sidecar_tokens_total", "model", ', kind="cached"')
                            + " / "
                            + _rate("sidecar_tokens_total", "model", ', kind="input"'),
                            "{{model}}",
                        ),
                    ),
                ),
                Panel(
                    "Tokens a second, by team",
                    "short",
                    (
                        (
                            _rate("sidecar_tokens_total", "team", ', kind=~"input|output"'),
                            "{{team}}",
                        ),
                    ),
                ),
                Panel(
                    "Calls that a limit of the provider or an empty account refused, a second",
                    "reqps",
                    (
                        (
                            "sum by (route, kind) (rate(sidecar_reply_failures_total"
                            '{namespace=~"$namespace", route=~"$route", kind=~"money|rate_limit"}'
                            "[$__rate_interval]))",
                            "{{route}} {{kind}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Calls that needed none of their own",
            (
                Panel(
                    "Calls a second, by what answered them",
                    "reqps",
                    ((_rate_by_route("sidecar_saved_calls_total", "by"), "{{by}}"),),
                    "The same call in flight, or a kept reply.",
                ),
                Panel(
                    "Cost saved an hour, by route",
                    "short",
                    (
                        (
                            "3600 * " + _rate_by_route("sidecar_saved_cost_total", "route"),
                            "{{route}}",
                        ),
                    ),
                ),
                Panel(
                    "Look-ups in the cache, by result",
                    "reqps",
                    ((_rate_by_route("sidecar_cache_lookups_total", "result"), "{{result}}"),),
                ),
            ),
        ),
    ),
)

ENDPOINTS: Final = Board(
    "endpoints",
    "LLM sidecars: endpoints",
    (
        ("namespace", "sidecar_build_info"),
        ("upstream", "sidecar_attempts_in_flight"),
        ("endpoint", "sidecar_attempts_in_flight"),
    ),
    (
        Row(
            "Attempts",
            (
                Panel(
                    "Attempts a second, by endpoint and status",
                    "reqps",
                    (
                        (
                            _rate("sidecar_attempts_total", "endpoint, status"),
                            "{{endpoint}} {{status}}",
                        ),
                    ),
                    "0: no head came.",
                ),
                Panel(
                    "Attempts that failed, by endpoint and code",
                    "reqps",
                    (
                        (
                            _rate("sidecar_attempt_errors_total", "endpoint, code"),
                            "{{endpoint}} {{code}}",
                        ),
                    ),
                ),
                Panel(
                    "Replies that ended badly",
                    "reqps",
                    (
                        (
                            _rate(
                                "sidecar_upstream_replies_total",
                                "endpoint, verdict",
                                ', verdict!="complete"',
                            ),
                            "{{endpoint}} {{verdict}}",
                        ),
                    ),
                ),
                Panel(
                    "Time to the first content or head, p95",
                    "s",
                    _quantiles("sidecar_attempt_first_seconds", "endpoint"),
                    "From the choice of the endpoint; only attempts that went well.",
                ),
                Panel(
                    "Duration of attempts, p95",
                    "s",
                    _quantiles("sidecar_attempt_duration_seconds", "endpoint"),
                    "Only attempts that went well.",
                ),
                Panel(
                    "Attempts in flight",
                    "short",
                    (("sum by (endpoint) (sidecar_attempts_in_flight{{}})", "{{endpoint}}"),),
                ),
            ),
        ),
        Row(
            "Rotation",
            (
                Panel(
                    "Open and half-open breakers",
                    "short",
                    (
                        (
                            'sum by (endpoint, state) (sidecar_breaker_state{{}, state!="closed"})',
                            "{{endpoint}} {{state}}",
                        ),
                    ),
                    "How many sidecars have a breaker in that state.",
                ),
                Panel(
                    "Endpoints out of rotation",
                    "short",
                    (
                        (
                            "max by (upstream) (sidecar_upstream_ejected"
                            '{namespace=~"$namespace", upstream=~"$upstream"})',
                            "{{upstream}} ejected",
                        ),
                        (
                            "max by (upstream) (sidecar_upstream_panic"
                            '{namespace=~"$namespace", upstream=~"$upstream"})',
                            "{{upstream}} panic",
                        ),
                        (
                            "count by (endpoint) (sidecar_endpoint_healthy{{}} == 0)",
                            "{{endpoint}} unhealthy",
                        ),
                    ),
                    "Panic: every endpoint is out, and all are tried.",
                ),
                Panel(
                    "Weights",
                    "short",
                    (("avg by (endpoint) (sidecar_endpoint_weight{{}})", "{{endpoint}}"),),
                    "With balance dynamic, what latency, errors and load have made of them.",
                ),
            ),
        ),
        Row(
            "Queues and connections",
            (
                Panel(
                    "Calls that wait or are shed",
                    "short",
                    (
                        (
                            "sum by (upstream) (sidecar_admission_queued"
                            '{namespace=~"$namespace", upstream=~"$upstream"})',
                            "{{upstream}} waiting",
                        ),
                        (
                            "sum by (upstream, reason) (rate(sidecar_shed_total"
                            '{namespace=~"$namespace", upstream=~"$upstream"}[$__rate_interval]))',
                            "{{upstream}} shed: {{reason}}/s",
                        ),
                    ),
                ),
                Panel(
                    "Calls waiting for a connection",
                    "short",
                    (("sum by (endpoint) (sidecar_pool_waiting{{}})", "{{endpoint}}"),),
                    "Above 0 for long: raise pool.max_open, or add endpoints.",
                ),
                Panel(
                    "Connections",
                    "short",
                    (
                        ("sum by (endpoint) (sidecar_pool_open{{}})", "{{endpoint}} open"),
                        ("sum by (endpoint) (sidecar_pool_idle{{}})", "{{endpoint}} idle"),
                    ),
                ),
                Panel(
                    "New connections a second",
                    "ops",
                    (
                        (_rate("sidecar_connects_total", "endpoint"), "{{endpoint}}"),
                        (_rate("sidecar_connect_errors_total", "endpoint"), "{{endpoint}} failed"),
                    ),
                ),
                Panel(
                    "Time to connect, p95",
                    "s",
                    _quantiles("sidecar_connect_seconds", "endpoint"),
                ),
            ),
        ),
    ),
)

BOARDS: Final = (TRAFFIC, TOKENS, ENDPOINTS)
