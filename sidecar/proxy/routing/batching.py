"""The layer of a route that lets calls travel together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.llm.dialects import APIS
from sidecar.proxy.layers.affinity import sticky_point
from sidecar.proxy.layers.batches import Batches, BatchOptions
from sidecar.proxy.layers.keyed import CallKey
from sidecar.proxy.routing.limiters import client_by
from sidecar.proxy.routing.shown_keys import hidden_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from sidecar.config.model import Route, Target
    from sidecar.config.model.batch import Batch
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.routing.stack import Parts

_FORMATS: Final = frozenset({"openai", "mistral"})
"""Dialects whose embeddings have OpenAI's format."""


def batching(parts: Parts, config: Batch, inner: Layer) -> Layer:
    """Return *inner*, behind batches if the route's API has them."""
    dialect = parts.configs[parts.route.upstream].dialect
    if dialect not in _FORMATS:
        return inner
    key = CallKey(parts.name, dialect, APIS[dialect], config.key_settings(), hidden_keys(parts))
    options = BatchOptions(
        config.settings(),
        config.empty,
        int(config.reply),
        tuple(_told_apart(parts)),
        tuple(_masked(parts)),
    )
    return Batches(inner, key, options, parts.stats)


def _told_apart(parts: Parts) -> Iterator[Callable[[Call], Hashable]]:
    """Yield what the route's limits on clients' tokens and its split tell callers apart by."""
    route = parts.route
    if route.split and route.sticky is not None:
        yield sticky_point(route.sticky)
    targets: list[Route | Target] = [route, *route.split, *route.fallback]
    for target in targets:
        tokens = parts.effective(target.upstream).policy.limits.tokens
        if tokens is not None and tokens.client is not None:
            yield client_by(tokens.client)


def _masked(parts: Parts) -> Iterator[Callable[[str], object]]:
    """Yield what finds the values that `redact` looks for at the route's upstreams."""
    route = parts.route
    targets: list[Route | Target] = [route, *route.split, *route.fallback]
    policies = {each.upstream: parts.effective(each.upstream).policy for each in targets}
    found = {id(policy.redact): policy.redact for policy in policies.values()}
    for redact in found.values():
        if redact is not None:
            yield redact.finder()
