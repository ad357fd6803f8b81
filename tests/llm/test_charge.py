from __future__ import annotations

import pytest

from sidecar.llm.charge import Output, input_charged, output_ahead
from sidecar.llm.dialects import Dialect, Parameters
from sidecar.llm.usage import Usage


@pytest.mark.parametrize(
    ("dialect", "asked", "ahead"),
    [
        ("openai", Parameters(), Output(300, guessed=True)),
        ("openai", Parameters(max_tokens=100), Output(100, guessed=False)),
        ("openai", Parameters(max_tokens=5000), Output(5000, guessed=False)),
        ("openai", Parameters(max_tokens=100, n=4), Output(400, guessed=False)),
        ("openai", Parameters(max_tokens=100, n=-4), Output(100, guessed=False)),
        ("openai", Parameters(max_tokens=-1), Output(300, guessed=True)),
        ("anthropic", Parameters(max_tokens=5000), Output(300, guessed=True)),
        ("anthropic", Parameters(max_tokens=100), Output(100, guessed=False)),
        ("gemini", Parameters(max_tokens=5000), Output(300, guessed=True)),
        ("gemini", Parameters(max_tokens=0), Output(0, guessed=False)),
    ],
)
def test_a_bound_counts_in_full_where_the_provider_says_so(
    dialect: Dialect, asked: Parameters, ahead: Output
) -> None:
    assert output_ahead(dialect, asked, 300) == ahead


@pytest.mark.parametrize(("dialect", "charged"), [("openai", 100), ("anthropic", 40)])
def test_what_is_read_from_anthropics_cache_is_free(dialect: Dialect, charged: int) -> None:
    assert input_charged(dialect, Usage(input=100, cached=60, cache_write=30)) == charged
