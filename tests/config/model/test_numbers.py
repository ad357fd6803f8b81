"""The settings that policies take, made by the sections: each number where it belongs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sidecar.config import model
from sidecar.config.load import load
from sidecar.http.limits import HeadLimits
from sidecar.policy.admission import AdmissionSettings
from sidecar.policy.balance import BalanceSettings
from sidecar.policy.breaker_settings import BreakerSettings
from sidecar.policy.budget import BudgetSettings
from sidecar.policy.ejection import EjectionSettings
from sidecar.policy.retry import RetrySettings
from sidecar.policy.timeouts import Timers


def loaded(policy: dict[str, Any], **upstream: Any) -> tuple[model.Policy, model.Upstream]:
    """A policy with all its defaults, and an upstream."""
    document = {
        "listeners": [{"address": "127.0.0.1:1"}],
        "upstreams": {"u": {"endpoints": [{"url": "http://u"}], **upstream}},
        "routes": [{"upstream": "u", "policy": policy}],
    }
    found = load(msgspec.json.encode(document).decode(), file="x")
    return found.effective[0, "u"].policy, found.config.upstreams["u"]


@pytest.mark.parametrize(
    ("given", "timers"),
    [
        (
            {"connect": "1s", "first_byte": "2s", "idle": "3s", "total": "4s"},
            Timers(1.0, 2.0, 3.0, 4.0),
        ),
        ({"connect": "1s", "idle": "3s"}, Timers(1.0, None, 3.0, None)),
    ],
)
def test_timers(given: dict[str, str], timers: Timers) -> None:
    assert loaded({"timeouts": given})[0].timeouts.settings() == timers


def test_retry() -> None:
    given = {
        "max": 4,
        "on": ["reset", "429"],
        "backoff": {"base": "1ms", "cap": "2ms"},
        "retry_after": "3s",
        "methods": ["GET"],
    }
    expected = RetrySettings(
        4, frozenset({"reset"}), frozenset({429}), 0.001, 0.002, 3.0, frozenset({b"GET"})
    )
    assert loaded({"retry": given})[0].retry.settings() == expected


def test_budget() -> None:
    given = {"budget": {"ratio": "30%", "min_per_second": 4, "window": "5s"}}
    expected = BudgetSettings(0.3, 4, 5.0)
    assert loaded({"retry": given})[0].retry.budget.settings() == expected


BREAKER = {
    "failure_rate": "10%", "slow_rate": "20%", "slow_after": "3s", "min_calls": 4,
    "window": "5s", "window_calls": 6, "open": "7s", "open_max": "8s", "jitter": "9%", "trials": 10,
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (BREAKER, BreakerSettings(0.1, 0.2, 3.0, 4, 5.0, 6, 7.0, 8.0, 0.09, 10)),
        ({}, BreakerSettings(0.5, 0.8, None, 10, 30.0, 100, 1.0, 60.0, 0.2, 3)),
        (None, None),
    ],
)
def test_breaker(given: dict[str, Any] | None, expected: BreakerSettings | None) -> None:
    found = loaded({"breaker": given})[0].breaker
    assert (None if found is None else found.settings()) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, EjectionSettings(None, True)),
        ({"max_ejected": "40%", "panic": False}, EjectionSettings(0.4, False)),
    ],
)
def test_ejection(given: dict[str, Any], expected: EjectionSettings) -> None:
    assert loaded({"ejection": given})[0].ejection.settings() == expected


@pytest.mark.parametrize(
    ("of_policy", "of_upstream", "method"),
    [
        ({}, {}, "round_robin"),
        ({}, {"balance": "dynamic"}, "dynamic"),
        ({}, {"balance": {"method": "dynamic"}}, "dynamic"),
        ({"balance": "least_conn"}, {"balance": "dynamic"}, "least_conn"),
    ],
)
def test_whose_balance(of_policy: Any, of_upstream: Any, method: str) -> None:
    policy, upstream = loaded(of_policy, **of_upstream)
    assert upstream.balance_under(policy).method == method


@pytest.mark.parametrize(("load", "stale"), [({}, 10.0), ({"load": {"stale_after": "4s"}}, 4.0)])
def test_balance(load: dict[str, Any], stale: float) -> None:
    given = {"method": "prefix", "overload": "150%", "slow_start": "2s", "decay": "3s"}
    policy, upstream = loaded({"balance": given}, **load)
    found = upstream.balance_under(policy).settings(upstream.reports_live())
    assert found == BalanceSettings("prefix", 1.5, 2.0, 3.0, stale)


def test_admission() -> None:
    given = {
        "max_in_flight": 1,
        "max_queued": 2,
        "max_queued_bytes": "3KiB",
        "shed_at": "40%",
        "max_wait": "5s",
    }
    upstream = loaded({}, admission=given)[1]
    assert upstream.admission is not None
    assert upstream.admission.settings() == AdmissionSettings(1, 2, 3072, 0.4, 5.0)


@pytest.mark.parametrize(("body", "most"), [("5MB", 5_000_000), (None, None)])
def test_limits(body: str | None, most: int | None) -> None:
    given = {
        "request_line": "1KiB",
        "header": "2KiB",
        "headers": "3KiB",
        "header_count": 4,
        "body": body,
    }
    limits = msgspec.convert(given, model.Limits, dec_hook=lambda kind, text: kind(text))
    assert limits.settings() == HeadLimits(1024, 2048, 3072, 4, most)
