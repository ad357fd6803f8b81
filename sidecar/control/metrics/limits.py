"""Metrics of limits on tokens, paces and budgets."""

from __future__ import annotations

from typing import Final

from sidecar.control.metrics.family import Metric, MetricsOf
from sidecar.observe.numbers import BudgetNumbers, QuotaNumbers, TokenNumbers

_TOKEN_LIMITS: Final = MetricsOf[TokenNumbers](
    ("route", "upstream"), lambda stats: dict(stats.token_limits).items()
)
_QUOTAS: Final = MetricsOf[QuotaNumbers](
    ("quota",), lambda stats: [((name,), of) for name, of in dict(stats.quotas).items()]
)
_BUDGETS: Final = MetricsOf[BudgetNumbers](
    ("budget", "unit"),
    lambda stats: [((name, of.settings.unit), of) for name, of in dict(stats.budgets).items()],
)

METRICS: Final[tuple[Metric, ...]] = (
    _TOKEN_LIMITS.gauges(
        "token_limit_reserved",
        ("kind",),
        "What calls in flight have reserved in limits on tokens: requests, input, output, total.",
        lambda limits: {(kind,): amount for kind, amount in limits.reserved.items()},
    ),
    _TOKEN_LIMITS.counts(
        "token_limit_used",
        "kind",
        "What ended calls were counted for in limits on tokens.",
        lambda limits: limits.used,
    ),
    _TOKEN_LIMITS.counts(
        "token_limit_refused",
        "kind",
        "Calls that did not fit into a limit on tokens, by the kind that they exceed.",
        lambda limits: limits.refused,
    ),
    _TOKEN_LIMITS.gauge(
        "token_limit_waiting",
        "Calls that wait for a limit on tokens.",
        lambda limits: limits.waiting,
    ),
    _QUOTAS.gauge(
        "pace_waiting",
        "Calls that wait for their turn at a provider's quota.",
        lambda quota: quota.waiting,
    ),
    _QUOTAS.gauge(
        "pace_share",
        "What refusals have left of the pace, of the model that has least left; 1 is all.",
        lambda quota: quota.eased,
    ),
    _QUOTAS.counter(
        "pace_refused",
        "Calls that did not get their turn in time.",
        lambda quota: quota.refused,
    ),
    _QUOTAS.counter(
        "pace_throttled",
        "Tries that the provider refused with 429 although they were paced.",
        lambda quota: quota.throttled,
    ),
    _BUDGETS.gauge(
        "budget_spent",
        "What was spent of the budget here in this period, all clients together.",
        lambda budget: sum(budget.current().values()),
    ),
    _BUDGETS.gauge(
        "budget_used_ratio",
        "The part of the budget that is spent, of the client that has spent most.",
        lambda budget: max(budget.totals().values(), default=0.0) / budget.settings.amount,
    ),
    _BUDGETS.counter(
        "budget_exceeded",
        "Calls that found the budget spent.",
        lambda budget: budget.exceeded,
    ),
    _BUDGETS.counter(
        "budget_ledger_errors",
        "How often the ledger of the budget could not be used.",
        lambda budget: budget.book.errors,
    ),
)
