"""Doubts about what nothing uses, and about money and tokens that nothing counts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

from sidecar.config.check.doubts.whole import Whole, inner, shares
from sidecar.config.check.shadowing import glob_covers
from sidecar.config.model import Config
from sidecar.config.overlay import targets
from sidecar.config.problems import Problem

_SPECIAL: Final = re.compile(r"[*?]")


def of_unused(whole: Whole) -> Iterator[Problem]:
    """Find upstreams, policies, prices and stores that no call gets to."""
    config = whole.config
    asked = {name for route in config.routes for name in targets(route)}
    for effective in whole.effective.values():
        redact = effective.policy.redact
        if redact is not None and redact.guard is not None:
            asked.add(redact.guard.upstream)
    for name in config.upstreams:
        if name not in asked:
            told = "no route uses this upstream: name it in one, or remove it"
            yield Problem(("upstreams", name), told)
    yield from _policies(config)
    yield from _prices(config)
    yield from _store(whole)
    yield from _budgets(whole)


def _policies(config: Config) -> Iterator[Problem]:
    if any(listener.trust.headers for listener in config.listeners):
        return  # a call may ask for any policy
    named = [route.policy for route in config.routes]
    named += [each.policy for each in config.upstreams.values() if each.policy is not None]
    used = {"default", *(policy for policy in named if isinstance(policy, str))}
    for name in config.policies:
        if name not in used:
            told = "nothing uses this policy: name it in a route or an upstream, or remove it"
            yield Problem(("policies", name), told)


def _prices(config: Config) -> Iterator[Problem]:
    before: list[tuple[str, str]] = []
    for glob in config.prices:
        # What a glob begins with is quickly compared: there may be a thousand of them.
        first = next(
            (g for g, head in before if glob.startswith(head) and glob_covers(g, glob)), None
        )
        if first is not None:
            told = f"never counts: {first} stands before it, and the first that fits does"
            yield Problem(("prices", glob), f"{told}. Put it first")
        before.append((glob, _SPECIAL.split(glob, 1)[0]))


def _store(whole: Whole) -> Iterator[Problem]:
    store = whole.config.store
    if store.redis is not None and not shares(whole):
        told = "has no effect: no `cache` of a route's policy and no budget uses it"
        yield Problem(("store", "redis"), told)
    caches = any(each.policy.cache is not None for each in whole.effective.values())
    if store.warm_up is not None and not caches:
        yield Problem(("store", "warm_up"), "has no effect: no policy of a route has a `cache`")


def _budgets(whole: Whole) -> Iterator[Problem]:
    config = whole.config
    if not config.budgets.limits:
        if inner(whole.written, "budgets", "ledger") is not None:
            yield Problem(("budgets", "ledger"), "has no effect: there are no `limits`")
        return
    for name, limit in config.budgets.limits.items():
        path = "budgets", "limits", name
        routes = [
            (index, route)
            for index, route in enumerate(config.routes)
            if limit.route in (None, route.name)
        ]
        for index, route in routes:
            if not whole.effective[index, route.upstream].policy.read:
                yield Problem(
                    path,
                    f"counts no call of route {route.name or f'{index}-{route.upstream}'}: its "
                    "replies are not read. Remove `read: false` from its policy",
                )
                break
        if limit.when_spent == "fallback" and not any(route.fallback for _, route in routes):
            told = "none of its routes has a `fallback`, so that calls get 429: give one to them"
            yield Problem((*path, "when_spent"), told)
        if (
            limit.money is not None
            and limit.model is not None
            and not _has_price(config, limit.model)
        ):
            told = "no price fits this model, so that it costs nothing: add it to `prices`"
            yield Problem((*path, "model"), told)


def _has_price(config: Config, model: str) -> bool:
    """Whether some model that the glob *model* takes may have a price."""
    if "*" in model or "?" in model:
        return True
    return any(fnmatchcase(model, glob.replace("[", "[[]")) for glob in config.prices)
