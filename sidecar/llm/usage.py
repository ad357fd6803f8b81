"""The tokens of a call, in one form for all APIs.

Sources: the types of openai-python 3.57 (`CompletionUsage`, `ResponseUsage`), anthropic-sdk-python
2.14 (`Usage`, `MessageDeltaUsage`: cumulative; input is the sum of three), python-genai 3.6
(`GenerateContentResponseUsageMetadata`), groq-python (`XGroq`), cohere-python (`UsageTokens`) and
botocore's model of Bedrock (`TokenUsage`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

_MOST: Final = 2**53
"""Tokens. JSON readers disagree on larger numbers."""


class Usage(msgspec.Struct, frozen=True):
    """The tokens of one call."""

    input: int = 0
    """All input tokens, including cache reads and cache writes."""
    cached: int = 0
    """The part of `input` that was read from the provider's cache."""
    cache_write: int = 0
    """The part of `input` that was written to the provider's cache."""
    output: int = 0
    """All output tokens, including reasoning."""
    reasoning: int = 0
    """The part of `output` that is reasoning."""
    estimated: bool = False
    """Whether the sidecar estimated the numbers, since the API reported none."""


def added(one: Usage, other: Usage) -> Usage:
    """Return the tokens of both."""
    return Usage(
        input=one.input + other.input,
        cached=one.cached + other.cached,
        cache_write=one.cache_write + other.cache_write,
        output=one.output + other.output,
        reasoning=one.reasoning + other.reasoning,
        estimated=one.estimated or other.estimated,
    )


def of_openai(told: object) -> Usage | None:
    """Read `usage` of chat, completions, embeddings, images and Responses; None if it is empty."""
    if not isinstance(told, dict) or not told:
        return None
    into = _members(told, "prompt_tokens_details") or _members(told, "input_tokens_details")
    out = _members(told, "completion_tokens_details") or _members(told, "output_tokens_details")
    return Usage(
        input=_count(told, "prompt_tokens", "input_tokens"),
        cached=_count(into, "cached_tokens"),
        cache_write=_count(into, "cache_write_tokens"),
        output=_count(told, "completion_tokens", "output_tokens"),
        reasoning=_count(out, "reasoning_tokens"),
    )


def of_anthropic(told: Mapping[str, Any]) -> Usage | None:
    """Read `usage` of a message, or what `merged` returned for a stream; None if it is empty."""
    if not told:
        return None
    cached = _count(told, "cache_read_input_tokens")
    written = _count(told, "cache_creation_input_tokens")
    return Usage(
        input=_count(told, "input_tokens") + cached + written,
        cached=cached,
        cache_write=written,
        output=_count(told, "output_tokens"),
        reasoning=_count(_members(told, "output_tokens_details"), "thinking_tokens"),
    )


def merged(before: Mapping[str, Any], told: object) -> Mapping[str, Any]:
    """Update an Anthropic stream's usage with the next one. The counts are cumulative.

    A member that is absent or null keeps its last value, as in the SDK's accumulator.
    """
    if not isinstance(told, dict):
        return before
    return {**before, **{name: value for name, value in told.items() if value is not None}}


def of_gemini(told: object) -> Usage | None:
    """Read `usageMetadata`, where thoughts are no part of the candidates.

    The results of tools are input as well; the total counts them separately.
    """
    if not isinstance(told, dict) or not told:
        return None
    thoughts = _count(told, "thoughtsTokenCount")
    prompt = _count(told, "promptTokenCount")
    return Usage(
        input=prompt + _count(told, "toolUsePromptTokenCount"),
        cached=_count(told, "cachedContentTokenCount"),
        output=_count(told, "candidatesTokenCount", "responseTokenCount") + thoughts,
        reasoning=thoughts,
    )


def of_converse(told: object) -> Usage | None:
    """Read `usage` of Bedrock's Converse, where cached tokens are no part of the input."""
    if not isinstance(told, dict) or not told:
        return None
    cached, written = _count(told, "cacheReadInputTokens"), _count(told, "cacheWriteInputTokens")
    return Usage(
        input=_count(told, "inputTokens") + cached + written,
        cached=cached,
        cache_write=written,
        output=_count(told, "outputTokens"),
    )


def of_cohere(told: object) -> Usage | None:
    """Read `usage` of Cohere's v2 chat."""
    if not isinstance(told, dict) or not told:
        return None
    tokens = _members(told, "tokens")
    return Usage(
        input=_count(tokens, "input_tokens"),
        cached=_count(told, "cached_tokens"),
        output=_count(tokens, "output_tokens"),
    )


def _members(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = told.get(name)
    return found if isinstance(found, dict) else {}


def _count(told: Mapping[str, Any], *names: str) -> int:
    """Return the first of *names* that is there; 0 if it is no count. Some servers write 12.0."""
    for name in names:
        value = told.get(name)
        if value is not None:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return int(value) if number and 0 <= value < _MOST else 0
    return 0
