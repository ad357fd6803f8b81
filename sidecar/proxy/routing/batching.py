"""The layer of a route that lets calls travel together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.llm.dialects import APIS
from sidecar.proxy.layers.batches import Batches, BatchOptions
from sidecar.proxy.layers.keyed import CallKey
from sidecar.proxy.routing.shown_keys import hidden_keys

if TYPE_CHECKING:
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.routing.stack import Parts

_FORMATS: Final = frozenset({"openai", "mistral"})
"""Dialects whose embeddings have OpenAI's format."""


def batching(parts: Parts, inner: Layer) -> Layer:
    """Return *inner*, behind batches if the route's policy and API have them."""
    config = parts.effective(parts.route.upstream).policy.batch
    dialect = parts.configs[parts.route.upstream].dialect
    if config is None or dialect not in _FORMATS:
        return inner
    key = CallKey(parts.name, dialect, APIS[dialect], config.key_settings(), hidden_keys(parts))
    options = BatchOptions(config.settings(), config.empty, int(config.reply))
    return Batches(inner, key, options, parts.stats)
