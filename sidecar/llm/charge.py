"""What a call counts for in its provider's limits on tokens: before it is sent, and after it.

Sources: OpenAI's and Azure's pages on rate limits (the bound on the answer counts in full when the
call arrives), Anthropic's (`max_tokens` does not count; tokens that are read from the cache are
free, except in some older models). The other APIs don't say; there a bound is an upper bound only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sidecar.llm.dialects.base import Dialect, Parameters
    from sidecar.llm.usage import Usage


class Output(NamedTuple):
    """Output tokens that a call will probably be charged; *guessed*: the caller named no bound."""

    tokens: int
    guessed: bool


def output_ahead(dialect: Dialect, asked: Parameters, expected: int) -> Output:
    """Return the output to reserve for a call; *expected*: the usual length of an answer."""
    bound = asked.max_tokens
    if bound is None or bound < 0:
        return Output(expected, guessed=True)
    answers = asked.n if asked.n is not None and asked.n > 0 else 1
    most = bound * answers
    if dialect == "openai":
        return Output(most, guessed=False)
    return Output(min(expected, most), guessed=expected < most)


def input_charged(dialect: Dialect, usage: Usage) -> int:
    """Return the input tokens of *usage* that count."""
    return usage.input - usage.cached if dialect == "anthropic" else usage.input
