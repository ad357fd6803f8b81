"""Sending a call again: after a failure (retry) or before there is one (hedge)."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from sidecar.config.model.base import Section
from sidecar.config.model.units import Duration, Share
from sidecar.policy.budget import BudgetSettings
from sidecar.policy.retry import RetrySettings, parse_on

RETRY_ON: Final = ("connect_failure", "reset", "timeout", "bad_reply", "408", "429", "5xx")
"""What the OpenAI and Anthropic SDKs repeat by themselves."""


class Budget(Section, frozen=True):
    """How many calls may be sent again, so that retries do not pile onto what is failing."""

    ratio: Annotated[Share, Meta(description="Share of the calls in `window`.")] = Share("20%")
    min_per_second: Annotated[
        float,
        Meta(ge=0, le=100_000, description="So many a second are allowed besides `ratio`."),
    ] = 10
    window: Annotated[Duration, Meta(description="Calls are counted over this time.")] = Duration(
        "10s"
    )

    def settings(self) -> BudgetSettings:
        """Make what a budget goes by."""
        return BudgetSettings(float(self.ratio), self.min_per_second, float(self.window))


class HedgeBudget(Budget, frozen=True):
    """How many calls may be hedged: each costs the work of a whole call."""

    ratio: Annotated[Share, Meta(description="Share of the calls in `window`.")] = Share("5%")
    min_per_second: Annotated[
        float,
        Meta(ge=0, le=100_000, description="So many a second are allowed besides `ratio`."),
    ] = 1


class Backoff(Section, frozen=True):
    """The wait before retry n (from 0): at random from 0 to the lesser of `cap` and base x 2^n."""

    base: Annotated[Duration, Meta(description="Longest wait before the first retry.")] = Duration(
        "25ms"
    )
    cap: Annotated[Duration, Meta(description="Longest wait before any retry.")] = Duration("250ms")


class Retry(Section, frozen=True):
    """When an attempt failed and nothing was sent to the caller yet, another one is made."""

    max: Annotated[
        int, Meta(ge=0, le=10, description="Retries after the first attempt. 0: none.")
    ] = 2
    on: Annotated[
        tuple[str, ...],
        Meta(
            max_length=100,
            description="What is tried again: statuses (`429`, `5xx`), `connect_failure` (no "
            "connection), `reset` (it broke before the reply), `timeout` (no reply within "
            "`timeouts.first_byte`, where that is set, or silence within one that is held), "
            "`bad_reply` (it was no HTTP or was cut short).",
        ),
    ] = RETRY_ON
    backoff: Annotated[Backoff, Meta(description="How long to wait before.")] = Backoff()
    retry_after: Annotated[
        Duration,
        Meta(
            description="Longest wait that a reply may ask for (`retry-after`). One that asks for "
            "more is handed on instead; to an SDK that obeys it by itself, any is."
        ),
    ] = Duration("2s")
    methods: Annotated[
        tuple[str, ...],
        Meta(max_length=20, description="Methods that are tried again."),
    ] = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH")
    budget: Annotated[Budget, Meta(description="Bounds all retries of an upstream.")] = Budget()

    def settings(self) -> RetrySettings:
        """Make what retries go by."""
        conditions, statuses = parse_on(self.on)
        return RetrySettings(
            max=self.max,
            conditions=conditions,
            statuses=statuses,
            base=float(self.backoff.base),
            cap=float(self.backoff.cap),
            retry_after_cap=float(self.retry_after),
            methods=frozenset(method.encode() for method in self.methods),
        )


class Hedge(Section, frozen=True):
    """A second attempt beside one that is slow; the first reply wins, the other is cancelled."""

    after: Annotated[
        Duration | None,
        Meta(description="When to send it. `null`: after what `quantile` of the calls took."),
    ] = None
    quantile: Annotated[
        Share,
        Meta(description="Share of recent calls whose first byte came sooner than the wait."),
    ] = Share("95%")
    min_calls: Annotated[
        int,
        Meta(ge=1, le=10_000, description="Calls that must be seen before `quantile` is used."),
    ] = 20
    budget: Annotated[HedgeBudget, Meta(description="Bounds all hedges of an upstream.")] = (
        HedgeBudget()
    )
