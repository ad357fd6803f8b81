"""Hints for providers' prompt caches."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from sidecar.config.model.base import Section
from sidecar.config.model.units import Size


class PromptCache(Section, frozen=True):
    """What is added to calls so that a provider reads more of their prompts from its cache.

    OpenAI's chat and Responses get a `prompt_cache_key`, Anthropic's Messages `cache_control`,
    unless the caller gave its own.
    """

    at_least: Annotated[
        Size,
        Meta(
            description="Anthropic is asked to keep the prompts of bodies from this size on: it "
            "keeps no short ones, and takes more for tokens that it keeps than for others."
        ),
    ] = Size("16KiB")
    ttl: Annotated[
        Literal["5m", "1h"], Meta(description="How long Anthropic keeps a prompt after its use.")
    ] = "5m"
