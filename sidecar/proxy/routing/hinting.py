"""The layer of an upstream that gives hints for its prompt cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.routing.stack import Parts

_APIS: Final = frozenset({"openai", "anthropic"})


def hinted(parts: Parts, upstream: str, inner: Layer) -> Layer:
    """Return *inner*, behind what adds hints if the policy wants them and the API has any."""
    policy, dialect = parts.effective(upstream).policy, parts.configs[upstream].dialect
    config = policy.prompt_cache
    if config is None or dialect not in _APIS:
        return inner
    # Imported when it is used, so that others don't pay for it in memory.
    from sidecar.llm.prompt_cache import Hints
    from sidecar.proxy.layers.prompt_cache import PromptCache

    hints = Hints(int(config.at_least), config.ttl)
    return PromptCache(inner, dialect, hints, int(policy.hold), parts.stats)
