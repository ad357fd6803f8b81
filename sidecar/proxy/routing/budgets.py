"""The budgets that count for a route at one upstream; what was spent survives reloads."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import partial
from typing import TYPE_CHECKING

from sidecar.policy.spending import BudgetSettings
from sidecar.proxy.layers.budgets import Budget, Budgets
from sidecar.store.book import Book

if TYPE_CHECKING:
    from sidecar.config.model.budgets import SpendLimit
    from sidecar.config.model.cache import Redis
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.routing.stack import Parts
    from sidecar.store.shared_book import SharedBook


def budgeted(parts: Parts, stack: Layer) -> Layer:
    """Wrap *stack* in the budgets of its route. Raise OSError if the ledger can't be opened."""
    config = parts.budgets
    path = config.ledger
    assert path is not None  # checked with the configuration
    limits = {
        name: limit
        for name, limit in config.limits.items()
        if limit.route is None or limit.route == parts.route.name
    }
    if not limits:
        return stack
    most = config.max_clients
    book = parts.transaction.get(
        ("book", path),
        lambda: Book(path, most),
        lambda kept: setattr(kept.spending, "most", most),
    )
    shared = None
    if parts.store.redis is not None and any(limit.redis for limit in limits.values()):
        shared = _shared(parts, parts.store.redis, path, book)
    budgets = []
    for name, limit in limits.items():
        settings = _settings(name, limit)
        among = shared if limit.redis else None
        budget = parts.transaction.get(
            ("budget", path, name),
            partial(Budget, settings, book, among),
            partial(Budget.configure, settings=settings, shared=among),
        )
        if among is not None:
            parts.transaction.changes.append(partial(among.configure, settings))
        parts.transaction.changes.append(partial(parts.counts.budgets.__setitem__, name, budget))
        budgets.append(budget)
    return Budgets(stack, budgets, parts.stats)


def _shared(parts: Parts, redis: Redis, path: str, book: Book) -> SharedBook:
    # Late: where nothing is shared, none of this is imported.
    from sidecar.proxy.routing.exchanging import exchanging
    from sidecar.store.shared_book import SharedBook

    exchange = exchanging(parts, redis)
    shared = parts.transaction.get(
        ("shared book", path, redis),
        lambda: SharedBook(path, book, exchange),
        SharedBook.forget,
    )
    parts.transaction.changes.append(shared.start)
    return shared


def _settings(name: str, limit: SpendLimit) -> BudgetSettings:
    fits = None
    if limit.model is not None:
        fits = re.compile(translate(limit.model.replace("[", "[[]"))).match
    money, tokens = limit.money, limit.tokens
    return BudgetSettings(
        name,
        "tokens" if money is None else "money",
        float(tokens or 0) if money is None else money,
        limit.per,
        fits,
        None if limit.header is None else limit.header.lower().encode(),
        float(limit.warn_at),
        limit.when_spent,
        limit.each_caller,
    )
