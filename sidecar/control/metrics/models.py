"""Metrics of models: their calls, speed, tokens and cost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sidecar.control.metrics.family import Counts, Labels, Metric, MetricsOf
from sidecar.observe.models import ModelStats, Spent
from sidecar.observe.stats import Stats


def _models(stats: Stats) -> Iterable[tuple[Labels, ModelStats]]:
    for labels, route in dict(stats.routes).items():
        for model, of in dict(route.models.asked).items():
            yield (*labels, model), of


def _spent(stats: Stats) -> Iterable[tuple[Labels, Spent]]:
    for labels, route in dict(stats.routes).items():
        for model_and_team, of in dict(route.models.spent).items():
            yield (*labels, *model_and_team), of


def _tokens(of: Spent) -> Counts:
    """What never came is left out, except for what every model tells."""
    parts = {
        "cached": of.cached,
        "cache_write": of.cache_write,
        "reasoning": of.reasoning,
        "estimated_input": of.estimated_input,
        "estimated_output": of.estimated_output,
    }
    told = {kind: count for kind, count in parts.items() if count}
    return {"input": of.input, "output": of.output, **told}


_MODELS: Final = MetricsOf[ModelStats](("route", "upstream", "model"), _models)
_SPENT: Final = MetricsOf[Spent](("route", "upstream", "model", "team"), _spent)

METRICS: Final[tuple[Metric, ...]] = (
    _SPENT.counts(
        "tokens",
        "kind",
        "Tokens that replies told, by the model that answered, the team, and kind; cached and "
        "cache_write are parts of input, reasoning is a part of output.",
        _tokens,
    ),
    _SPENT.counter(
        "cost",
        "What calls cost, by the model that answered and the team, in the currency of `prices`.",
        lambda spent: spent.cost,
    ),
    _SPENT.counter(
        "prompt_cache_saved_cost",
        "What tokens from providers' prompt caches would have cost more without these, in the "
        "currency of `prices`.",
        lambda spent: spent.saved,
    ),
    _MODELS.counts(
        "model_calls",
        "outcome",
        "Calls that have ended, by the model that was asked for and by what became of them: ok, "
        "failed, caller_error, limited, left.",
        lambda model: model.outcomes,
    ),
    _MODELS.histogram(
        "first_token_seconds",
        "Time to the first content of streams that ended well.",
        lambda model: model.first_token,
    ),
    _MODELS.histogram(
        "output_chunk_seconds",
        "Time between pieces of the answer, of streams that ended well: each stream's mean, "
        "counted once for each piece after the first.",
        lambda model: model.output_chunk,
    ),
    _MODELS.histogram(
        "output_tokens_per_second",
        "Output tokens a second of streams that ended well, from their first content on.",
        lambda model: model.output_rate,
    ),
)
