"""The configuration's sections as the plain settings that policies take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from sidecar.config.model import Balance
from sidecar.policy.admission import AdmissionSettings
from sidecar.policy.balance import BalanceSettings
from sidecar.policy.breaker import BreakerSettings
from sidecar.policy.budget import BudgetSettings
from sidecar.policy.ejection import EjectionSettings
from sidecar.policy.retry import RetrySettings, parse_on
from sidecar.policy.timeouts import Timers

if TYPE_CHECKING:
    from sidecar.config.model import (
        Admission,
        Breaker,
        Budget,
        Ejection,
        Policy,
        Retry,
        Timeouts,
        Upstream,
    )

PRIORITIES: Final = {"high": 0, "normal": 1, "low": 2}
_STALE: Final = 10.0


def timers(config: Timeouts) -> Timers:
    """Seconds."""
    first_byte = None if config.first_byte is UNSET else float(config.first_byte)
    total = None if config.total is None else float(config.total)
    return Timers(float(config.connect), first_byte, float(config.idle), total)


def retry(config: Retry) -> RetrySettings:
    """Of a policy."""
    conditions, statuses = parse_on(config.on)
    return RetrySettings(
        max=config.max,
        conditions=conditions,
        statuses=statuses,
        base=float(config.backoff.base),
        cap=float(config.backoff.cap),
        retry_after_cap=float(config.retry_after),
        methods=frozenset(method.encode() for method in config.methods),
    )


def budget(config: Budget) -> BudgetSettings:
    """Of retries, or of hedges."""
    return BudgetSettings(float(config.ratio), config.min_per_second, float(config.window))


def breaker(config: Breaker | None) -> BreakerSettings | None:
    """Of a policy."""
    if config is None:
        return None
    return BreakerSettings(
        failure_rate=float(config.failure_rate),
        slow_rate=float(config.slow_rate),
        slow_after=None if config.slow_after is None else float(config.slow_after),
        min_calls=config.min_calls,
        window=float(config.window),
        window_calls=config.window_calls,
        open=float(config.open),
        open_max=float(config.open_max),
        jitter=float(config.jitter),
        trials=config.trials,
    )


def ejection(config: Ejection) -> EjectionSettings:
    """Of a policy."""
    share = None if config.max_ejected is None else float(config.max_ejected)
    return EjectionSettings(share, config.panic)


def balance_of(policy: Policy, upstream: Upstream) -> Balance:
    """What the policy says, else the upstream."""
    chosen = upstream.balance if policy.balance is None else policy.balance
    return Balance(method=chosen) if isinstance(chosen, str) else chosen


def balance(config: Balance, upstream: Upstream) -> BalanceSettings:
    """Of an upstream's calls."""
    return BalanceSettings(
        method=config.method,
        overload=float(config.overload),
        slow_start=float(config.slow_start),
        decay=float(config.decay),
        stale=float(upstream.load.stale_after) if upstream.load else _STALE,
    )


def admission(config: Admission) -> AdmissionSettings:
    """Of an upstream."""
    return AdmissionSettings(
        max_in_flight=config.max_in_flight,
        max_queued=config.max_queued,
        max_queued_bytes=int(config.max_queued_bytes),
        shed_at=float(config.shed_at),
        max_wait=float(config.max_wait),
    )
