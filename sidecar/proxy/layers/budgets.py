"""Budgets: what may be spent in an hour, a day or a month, counted when calls have ended.

A call that begins finds a budget spent or not; what calls in flight will spend is not known yet.
So a budget may be exceeded by what was in flight when it was spent, and by no more.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from sidecar.errors import BudgetSpent, Limited
from sidecar.llm.usage import Usage
from sidecar.policy.spending import BudgetSettings, period_of, seconds_left

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecar.observe.stats import RouteStats
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.record import AttemptRecord
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request
    from sidecar.store.book import Book
    from sidecar.store.shared_book import SharedBook

_log: Final = logging.getLogger("sidecar.budgets")
_MOST_WARNED: Final = 1000


class Budget:
    """One budget, as all routes share it."""

    def __init__(
        self, settings: BudgetSettings, book: Book, shared: SharedBook | None = None
    ) -> None:
        self.settings = settings
        self.book = book
        self.shared = shared
        """The sums of other sidecars too; None: they have their own."""
        self.exceeded = 0
        """Calls that found it spent."""
        self._warned: dict[tuple[str, str], None] = {}

    def __repr__(self) -> str:
        return f"<Budget {self.settings.name}>"

    def configure(self, settings: BudgetSettings, shared: SharedBook | None) -> None:
        """Use other settings from now on. What was spent stays spent."""
        self.settings = settings
        self.shared = shared
        self._warned.clear()

    def client(self, call: Call) -> str:
        """Return the client that *call* counts for; empty if clients are not told apart."""
        if self.settings.by_caller:
            return call.caller
        header = self.settings.header
        return "" if header is None else call.head.fields.get(header, b"").decode("latin-1")

    def now(self) -> float:
        """Return the time of day that decides on the period, in Unix seconds."""
        return time.time() if self.shared is None else self.shared.now()

    def spent(self, client: str) -> bool:
        """Whether nothing is left for *client*."""
        settings = self.settings
        if self.shared is not None:
            return self.shared.left(settings, client) <= 0
        return self.book.spent(settings, client, self.now()) >= settings.amount

    def charge(self, client: str, usage: Usage, cost: float) -> None:
        """Count what a call has used."""
        settings, now = self.settings, self.now()
        amount = cost if settings.unit == "money" else float(usage.input + usage.output)
        if amount <= 0:
            return
        total = self.book.add(settings, client, amount, now)
        if self.shared is not None:
            total = self.shared.added(settings, client)
        if total >= settings.warn_at * settings.amount:
            self._warn(client, total, now)

    def current(self) -> dict[str, float]:
        """Return what was spent here in this period, by client. May be called on any thread."""
        return self.book.spending.current(self.settings, self.now())

    def totals(self) -> dict[str, float]:
        """Return the same, with what other sidecars have spent. May be called on any thread."""
        return self.current() if self.shared is None else self.shared.current(self.settings)

    def shown(self) -> dict[str, object]:
        """Return what an operator sees of it."""
        settings, now, shared = self.settings, self.now(), self.shared
        return {
            "budget": settings.name,
            "unit": settings.unit,
            "amount": settings.amount,
            "per": settings.per,
            "period": period_of(settings.per, now),
            "ends_in_s": round(seconds_left(settings.per, now)),
            "when_spent": settings.action,
            "exceeded": self.exceeded,
            "spent": self.totals(),
            "shared": None
            if shared is None
            else {"available": shared.answers, "peers": shared.peers, "here": self.current()},
        }

    def _warn(self, client: str, total: float, now: float) -> None:
        """Say once in a period that little is left."""
        key = client, period_of(self.settings.per, now)
        if key in self._warned:
            return
        if len(self._warned) >= _MOST_WARNED:
            self._warned.clear()
        self._warned[key] = None
        _log.warning(
            "a budget is nearly spent",
            extra={
                "budget": self.settings.name,
                "client": client,
                "share": f"{total / self.settings.amount:.0%}",
            },
        )


class Budgets:
    """Wraps all attempts at one upstream, so that a fallback has a budget of its own model."""

    def __init__(self, inner: Layer, budgets: Sequence[Budget], stats: RouteStats) -> None:
        self._inner = inner
        self._budgets = budgets
        self._stats = stats

    def __repr__(self) -> str:
        return f"<Budgets {', '.join(budget.settings.name for budget in self._budgets)}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Raise Limited or BudgetSpent (429) if nothing is left for the call."""
        model = request.model or call.model or ""
        counting = [
            (budget, budget.client(call))
            for budget in self._budgets
            if (fits := budget.settings.fits) is None or fits(model)
        ]
        unknown = [
            budget.shared
            for budget, client in counting
            if budget.shared is not None and budget.shared.unknown(budget.settings, client)
        ]
        if unknown:
            await unknown[0].told()  # one answer tells of all
        for budget, client in counting:
            if budget.spent(client):
                self._exceeded(call, budget)
        settle = partial(_settle, call, model, counting, len(call.attempts))
        try:
            reply = await self._inner(call, request)
        except BaseException:
            settle()
            raise
        reply.on_settled(settle)
        return reply

    def _exceeded(self, call: Call, budget: Budget) -> None:
        """Do what the budget says of calls that find it spent."""
        budget.exceeded += 1
        settings = budget.settings
        call.note("budget", f"{settings.name} is spent")
        if settings.action == "count":
            return
        message = f"the budget {settings.name} of this {settings.per} is spent"
        left = seconds_left(settings.per, budget.now())
        call.final = True  # no short wait fills it again
        if settings.action == "fallback":
            raise BudgetSpent(message, retry_after=left)
        self._stats.count_limited("budget_spent")
        raise Limited(message, retry_after=left, code="budget_spent")


def _settle(call: Call, model: str, counting: Sequence[tuple[Budget, str]], since: int) -> None:
    """Charge what the attempts have used, each of them: the provider charges for all."""
    for attempt in call.attempts[since:]:
        usage = _used(call, attempt)
        if usage is not None:
            said = attempt.said
            answered = (said.model if said is not None else None) or model
            cost = 0.0 if call.route is None else call.route.pricing.cost(answered, usage) or 0.0
            for budget, client in counting:
                budget.charge(client, usage, cost)


def _used(call: Call, attempt: AttemptRecord) -> Usage | None:
    """Return what an attempt used; None if it was not sent, failed, or another one tells it.

    Of one that was given up before it said anything, only the prompt is known: four bytes a token.
    """
    said = attempt.said
    if attempt.resumed:
        return None
    if said is not None and said.usage is not None:
        return said.usage
    failed = attempt.status >= 400 or (said is not None and said.failure is not None)
    if attempt.sent is None or failed or attempt.head is not None:
        return None
    return Usage(input=call.body.size // 4, estimated=True)
