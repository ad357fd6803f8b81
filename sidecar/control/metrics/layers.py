"""Metrics of what layers did with calls: rules, caches, masks, shapes, batches, tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.control.metrics.family import Metric, MetricsOf
from sidecar.control.metrics.routes import ROUTES

_TASKS: Final = MetricsOf[Mapping[str, int]](
    ("task",), lambda stats: [((name,), of) for name, of in dict(stats.tasks).items()]
)

METRICS: Final[tuple[Metric, ...]] = (
    ROUTES.counts(
        "rules",
        "rule",
        "Calls that a rule answered or refused, without a model.",
        lambda route: route.rules,
    ),
    ROUTES.counts(
        "cache_lookups",
        "result",
        "Calls by what the cache had for them: hit, miss, stale or bypass.",
        lambda route: route.cache,
    ),
    ROUTES.counts(
        "saved_calls",
        "by",
        "Calls that needed no upstream call of their own, by what answered them.",
        lambda route: route.saved.calls,
    ),
    ROUTES.counts(
        "saved_tokens",
        "kind",
        "Tokens of the replies to these calls, input and output.",
        lambda route: route.saved.tokens,
    ),
    ROUTES.counter(
        "saved_cost",
        "What these calls would have cost, in the currency of `prices`.",
        lambda route: route.saved.cost,
    ),
    ROUTES.counts(
        "redacted",
        "what",
        "Values that `redact` has masked, by kind; calls that it refused or could not read.",
        lambda route: route.redacted,
    ),
    ROUTES.counts(
        "shaped",
        "change",
        "Calls that `shape` has changed, refused or could not read, by what was changed.",
        lambda route: route.shaped,
    ),
    ROUTES.counts(
        "prompt_cache_hints",
        "result",
        "Calls that could have a hint for a prompt cache, by what became of it: added, kept, "
        "short, continued, unread.",
        lambda route: route.hinted,
    ),
    ROUTES.counts(
        "stateful_calls",
        "home",
        "Calls for what an endpoint keeps (`state: home`), by whether its home was known.",
        lambda route: route.stateful,
    ),
    ROUTES.counts(
        "resumes",
        "result",
        "Streams of stored responses that broke (`resume`): resumed, given_up.",
        lambda route: route.resumes,
    ),
    ROUTES.counter(
        "trimmed_tokens",
        "Tokens that `shape` has taken out of prompts, estimated from their bytes.",
        lambda route: route.tokens_trimmed,
    ),
    ROUTES.counts(
        "batches",
        "result",
        "Joint calls for embeddings, by what became of them.",
        lambda route: route.batched.ended,
    ),
    ROUTES.histogram(
        "batch_items",
        "Items in each joint call for embeddings.",
        lambda route: route.batched.items,
    ),
    _TASKS.counts(
        "tasks",
        "result",
        "Calls that named a task: ok, repaired (at the second try), streamed, named (by a header), "
        "invalid, failed.",
        lambda results: results,
    ),
)
