"""Every metric: its name, its help, its labels, and where its number is read.

The numbers belong to the data plane's loop, and are read from the admin server's thread while that
loop goes on adding: each mapping is copied in one step before it is walked.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Generic, Literal, NamedTuple, TypeVar

from sidecar import __version__
from sidecar.control import logs
from sidecar.observe import shortage
from sidecar.observe.histogram import Histogram
from sidecar.observe.models import ModelStats, Spent
from sidecar.observe.stats import (
    BudgetNumbers,
    EndpointStats,
    ExchangeStats,
    Kept,
    KeyNumbers,
    ListenerStats,
    Memory,
    Queue,
    QuotaNumbers,
    RouteStats,
    SourceStats,
    Stats,
    StoreStats,
    TokenNumbers,
    UpstreamStats,
)

T = TypeVar("T")
Labels = tuple[str, ...]
Sample = tuple[Labels, float | Histogram]
Counts = Mapping[str, int] | Mapping[int, int]


class Metric(NamedTuple):
    """One metric. A counter's full name ends with `_total`, and our own begin with `sidecar_`."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    help: str
    labels: Labels
    read: Callable[[Stats], Iterable[Sample]]
    """Yields the values of the labels, and the number under them."""


class _Of(Generic[T]):
    """Makes the metrics of one kind of objects, which have *labels* in common."""

    def __init__(self, labels: Labels, objects: Callable[[Stats], Iterable[tuple[Labels, T]]]):
        self._labels = labels
        self._objects = objects

    def counter(self, name: str, help_: str, value: Callable[[T], float]) -> Metric:
        return Metric("counter", name, help_, self._labels, self._each(value))

    def gauge(self, name: str, help_: str, value: Callable[[T], float]) -> Metric:
        return Metric("gauge", name, help_, self._labels, self._each(value))

    def histogram(self, name: str, help_: str, value: Callable[[T], Histogram]) -> Metric:
        return Metric("histogram", name, help_, self._labels, self._each(value))

    def counts(self, name: str, label: str, help_: str, counts: Callable[[T], Counts]) -> Metric:
        """Make a counter with one more *label*, whose values are the keys of a mapping."""
        return Metric("counter", name, help_, (*self._labels, label), self._every(counts))

    def histograms(
        self, name: str, label: str, help_: str, of: Callable[[T], Mapping[str, Histogram]]
    ) -> Metric:
        """Make histograms with one more *label*, whose values are the keys of a mapping."""
        return Metric("histogram", name, help_, (*self._labels, label), self._every(of))

    def gauges(
        self, name: str, labels: Labels, help_: str, values: Callable[[T], Mapping[Labels, float]]
    ) -> Metric:
        """Make a gauge with more *labels*, whose values are the keys of a mapping."""
        return Metric("gauge", name, help_, (*self._labels, *labels), self._every(values))

    def info(self, name: str, help_: str, **labels: Callable[[T], str]) -> Metric:
        """Make a gauge of 1 whose labels are the news (an OpenMetrics Info reads the same)."""

        def values(of: T) -> Mapping[Labels, float]:
            return {tuple(value(of) for value in labels.values()): 1.0}

        return self.gauges(name, tuple(labels), help_, values)

    def _each(self, value: Callable[[T], float | Histogram]) -> Callable[[Stats], Iterable[Sample]]:
        return lambda stats: [(labels, value(of)) for labels, of in self._objects(stats)]

    def _every(
        self, values: Callable[[T], Counts | Mapping[Labels, float] | Mapping[str, Histogram]]
    ) -> Callable[[Stats], Iterable[Sample]]:
        def read(stats: Stats) -> Iterable[Sample]:
            for labels, of in self._objects(stats):
                for key, value in dict(values(of)).items():
                    more = key if isinstance(key, tuple) else (str(key),)
                    yield (*labels, *more), value

        return read


def _queues(stats: Stats) -> Iterable[tuple[Labels, Queue]]:
    return [
        ((name,), of.queue) for name, of in dict(stats.upstreams).items() if of.queue is not None
    ]


def _keys(stats: Stats) -> Iterable[tuple[Labels, KeyNumbers]]:
    for name, of in dict(stats.upstreams).items():
        for key in of.keys.keys if of.keys is not None else ():
            yield (name, key.name), key


def _key_states(key: KeyNumbers) -> Mapping[Labels, float]:
    states, now = ("in_use", "cooling", "restricted", "refused"), key.state(time.monotonic())
    return {(state,): float(state == now) for state in states}


def _results(stats: Stats) -> Counts:
    of = stats.reloads
    return {"accepted": of.accepted, "rejected": of.rejected, "unchanged": of.unchanged}


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


def _breakers(of: EndpointStats) -> Mapping[Labels, float]:
    states = ("closed", "half_open", "open")
    now = of.breakers.copy().items()
    return {(scope, state): float(state == is_) for scope, is_ in now for state in states}


_ROUTES: Final = _Of[RouteStats](("route", "upstream"), lambda stats: dict(stats.routes).items())
_MODELS: Final = _Of[ModelStats](("route", "upstream", "model"), _models)
_SPENT: Final = _Of[Spent](("route", "upstream", "model", "team"), _spent)
_ENDPOINTS: Final = _Of[EndpointStats](
    ("upstream", "endpoint"), lambda stats: dict(stats.endpoints).items()
)
_UPSTREAMS: Final = _Of[UpstreamStats](
    ("upstream",), lambda stats: [((name,), of) for name, of in dict(stats.upstreams).items()]
)
_QUEUES: Final = _Of[Queue](("upstream",), _queues)
_KEYS: Final = _Of[KeyNumbers](("upstream", "key"), _keys)
_LISTENERS: Final = _Of[ListenerStats](
    ("listener",), lambda stats: [((name,), of) for name, of in dict(stats.listeners).items()]
)
_SOURCE: Final = _Of[SourceStats](
    ("source",), lambda stats: [((source.name,), source) for source in stats.sources]
)
_MEMORY: Final = _Of[Memory](
    (), lambda stats: [] if stats.body_memory is None else [((), stats.body_memory)]
)
_CACHE: Final = _Of[Kept]((), lambda stats: [] if stats.cache is None else [((), stats.cache)])
_TASKS: Final = _Of[Mapping[str, int]](
    ("task",), lambda stats: [((name,), of) for name, of in dict(stats.tasks).items()]
)
_STORE: Final = _Of[StoreStats](
    (), lambda stats: [] if stats.store is None else [((), stats.store)]
)
_EXCHANGE: Final = _Of[ExchangeStats](
    (), lambda stats: [] if stats.exchange is None else [((), stats.exchange)]
)
_QUOTAS: Final = _Of[QuotaNumbers](
    ("quota",), lambda stats: [((name,), of) for name, of in dict(stats.quotas).items()]
)
_TOKEN_LIMITS: Final = _Of[TokenNumbers](
    ("route", "upstream"), lambda stats: dict(stats.token_limits).items()
)
_BUDGETS: Final = _Of[BudgetNumbers](
    ("budget", "unit"),
    lambda stats: [((name, of.settings.unit), of) for name, of in dict(stats.budgets).items()],
)
_PROCESS: Final = _Of[Stats]((), lambda stats: [((), stats)])

METRICS: Final = (
    _ROUTES.counts(
        "calls",
        "status",
        "Calls that have ended, by the status sent; 0 if the caller left first.",
        lambda route: route.statuses,
    ),
    _ROUTES.counts(
        "replies",
        "verdict",
        "Replies that were read, by how they ended: complete, error, truncated, stalled, aborted, "
        "empty.",
        lambda route: route.verdicts,
    ),
    _ROUTES.counts(
        "reply_failures",
        "kind",
        "Failures that replies told, by kind: rate_limit, overload, money, content_filter, "
        "context_length, bad_request, authentication, server.",
        lambda route: route.failures,
    ),
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
    _ROUTES.counts(
        "call_errors",
        "code",
        "Calls that the sidecar failed or the caller left, by error code.",
        lambda route: route.errors,
    ),
    _ROUTES.gauge("calls_in_flight", "Calls in flight.", lambda route: route.in_flight),
    _ROUTES.histograms(
        "call_duration_seconds",
        "outcome",
        "Time from a call's head to its end, by what became of it: ok, failed, caller_error, "
        "limited, left.",
        lambda route: route.durations,
    ),
    _ROUTES.histogram(
        "call_first_byte_seconds",
        "Time from a call's head to the first byte of its reply, of calls that went well.",
        lambda route: route.first_byte,
    ),
    _ROUTES.counter(
        "request_bytes",
        "Bytes of request bodies received from applications.",
        lambda route: route.bytes_in,
    ),
    _ROUTES.counter(
        "response_bytes",
        "Bytes of reply bodies sent to applications.",
        lambda route: route.bytes_out,
    ),
    _ROUTES.counts(
        "retries",
        "reason",
        "Retries, by the status or error code of the attempt before.",
        lambda route: route.retries,
    ),
    _ROUTES.counter(
        "retry_budget_exhausted",
        "Retries that the retry budget did not allow.",
        lambda route: route.budget_exhausted,
    ),
    _ROUTES.counter(
        "hedges", "Hedges: second attempts sent beside slow ones.", lambda route: route.hedges
    ),
    _ROUTES.counter(
        "hedges_won",
        "Hedges that answered before the first attempt.",
        lambda route: route.hedges_won,
    ),
    _ROUTES.counts(
        "fallbacks",
        "to",
        "Calls that fell back to another upstream.",
        lambda route: route.fallbacks,
    ),
    _ROUTES.counts(
        "mirrored",
        "result",
        "Copies of calls sent to mirrors, by status or error code.",
        lambda route: route.mirrored,
    ),
    _ROUTES.counts(
        "limited",
        "code",
        "Calls refused by a limit of the route, by error code.",
        lambda route: route.limited,
    ),
    _TOKEN_LIMITS.gauges(
        "token_limit_reserved",
        ("kind",),
        "What calls in flight have reserved in limits on tokens: requests, input, output, total.",
        lambda limits: {(kind,): amount for kind, amount in limits.reserved.items()},
    ),
    _TOKEN_LIMITS.counts(
        "token_limit_used",
        "kind",
        "What ended calls were counted for in limits on tokens.",
        lambda limits: limits.used,
    ),
    _TOKEN_LIMITS.counts(
        "token_limit_refused",
        "kind",
        "Calls that did not fit into a limit on tokens, by the kind that they exceed.",
        lambda limits: limits.refused,
    ),
    _TOKEN_LIMITS.gauge(
        "token_limit_waiting",
        "Calls that wait for a limit on tokens.",
        lambda limits: limits.waiting,
    ),
    _QUOTAS.gauge(
        "pace_waiting",
        "Calls that wait for their turn at a provider's quota.",
        lambda quota: quota.waiting,
    ),
    _QUOTAS.gauge(
        "pace_share",
        "What refusals have left of the pace, of the model that has least left; 1 is all.",
        lambda quota: quota.eased,
    ),
    _QUOTAS.counter(
        "pace_refused",
        "Calls that did not get their turn in time.",
        lambda quota: quota.refused,
    ),
    _QUOTAS.counter(
        "pace_throttled",
        "Tries that the provider refused with 429 although they were paced.",
        lambda quota: quota.throttled,
    ),
    _ROUTES.counts(
        "rules",
        "rule",
        "Calls that a rule answered or refused, without a model.",
        lambda route: route.rules,
    ),
    _ROUTES.counts(
        "cache_lookups",
        "result",
        "Calls by what the cache had for them: hit, miss, stale or bypass.",
        lambda route: route.cache,
    ),
    _ROUTES.counts(
        "saved_calls",
        "by",
        "Calls that needed no upstream call of their own, by what answered them.",
        lambda route: route.saved.calls,
    ),
    _ROUTES.counts(
        "saved_tokens",
        "kind",
        "Tokens of the replies to these calls, input and output.",
        lambda route: route.saved.tokens,
    ),
    _ROUTES.counter(
        "saved_cost",
        "What these calls would have cost, in the currency of `prices`.",
        lambda route: route.saved.cost,
    ),
    _ROUTES.counts(
        "redacted",
        "what",
        "Values that `redact` has masked, by kind; calls that it refused or could not read.",
        lambda route: route.redacted,
    ),
    _ROUTES.counts(
        "shaped",
        "change",
        "Calls that `shape` has changed, refused or could not read, by what was changed.",
        lambda route: route.shaped,
    ),
    _ROUTES.counts(
        "prompt_cache_hints",
        "result",
        "Calls that could have a hint for a prompt cache, by what became of it: added, kept, "
        "short, continued, unread.",
        lambda route: route.hinted,
    ),
    _ROUTES.counts(
        "stateful_calls",
        "home",
        "Calls for what an endpoint keeps (`state: home`), by whether its home was known.",
        lambda route: route.stateful,
    ),
    _ROUTES.counts(
        "resumes",
        "result",
        "Streams of stored responses that broke (`resume`): resumed, given_up.",
        lambda route: route.resumes,
    ),
    _ROUTES.counter(
        "trimmed_tokens",
        "Tokens that `shape` has taken out of prompts, estimated from their bytes.",
        lambda route: route.tokens_trimmed,
    ),
    _ROUTES.counts(
        "batches",
        "result",
        "Joint calls for embeddings, by what became of them.",
        lambda route: route.batched.ended,
    ),
    _ROUTES.histogram(
        "batch_items",
        "Items in each joint call for embeddings.",
        lambda route: route.batched.items,
    ),
    _ENDPOINTS.counts(
        "upstream_replies",
        "verdict",
        "Replies of attempts that were read, by how they ended.",
        lambda endpoint: endpoint.verdicts,
    ),
    _ENDPOINTS.counts(
        "attempts",
        "status",
        "Attempts that have ended, by the endpoint's status; 0 if no head came.",
        lambda endpoint: endpoint.attempts,
    ),
    _ENDPOINTS.counts(
        "attempt_errors",
        "code",
        "Attempts that failed, by error code.",
        lambda endpoint: endpoint.errors,
    ),
    _ENDPOINTS.histogram(
        "attempt_first_seconds",
        "Time from the choice of the endpoint to the first content of a stream, or to the head of "
        "another reply, of attempts that went well.",
        lambda endpoint: endpoint.first,
    ),
    _ENDPOINTS.histogram(
        "attempt_duration_seconds",
        "Time from the choice of the endpoint to the end of its reply, of attempts that went well.",
        lambda endpoint: endpoint.duration,
    ),
    _ENDPOINTS.gauge(
        "attempts_in_flight", "Attempts in flight.", lambda endpoint: endpoint.in_flight
    ),
    _ENDPOINTS.gauge(
        "tunnels",
        "Open connections that switched to WebSocket.",
        lambda endpoint: endpoint.tunnels,
    ),
    _ENDPOINTS.counter(
        "replays",
        "Requests sent again because their pooled connection had been closed.",
        lambda endpoint: endpoint.replays,
    ),
    _ENDPOINTS.counter(
        "upstream_request_bytes",
        "Bytes of request bodies sent to the endpoint.",
        lambda endpoint: endpoint.bytes_out,
    ),
    _ENDPOINTS.counter(
        "upstream_response_bytes",
        "Bytes of reply bodies received from the endpoint.",
        lambda endpoint: endpoint.bytes_in,
    ),
    _ENDPOINTS.gauge(
        "endpoint_weight",
        "Weight of the endpoint, with what an operator has set.",
        lambda endpoint: endpoint.weight,
    ),
    _ENDPOINTS.gauge(
        "endpoint_drained",
        "1 while an operator drains the endpoint.",
        lambda endpoint: endpoint.drained,
    ),
    _ENDPOINTS.gauge(
        "endpoint_healthy",
        "1 unless the endpoint's health checks fail.",
        lambda endpoint: endpoint.up,
    ),
    _ENDPOINTS.counts(
        "health_checks",
        "result",
        "Health checks of the endpoint, by result.",
        lambda endpoint: endpoint.probes,
    ),
    _ENDPOINTS.gauges(
        "breaker_state",
        ("scope", "state"),
        "1 for the state that each breaker of the endpoint is in.",
        _breakers,
    ),
    _ENDPOINTS.counts(
        "breaker_transitions",
        "state",
        "Changes of the breakers' states, by the new state.",
        lambda endpoint: endpoint.transitions,
    ),
    _ENDPOINTS.gauge(
        "pool_open",
        "Connections of the pool, those being made included.",
        lambda endpoint: endpoint.open,
    ),
    _ENDPOINTS.gauge("pool_idle", "Idle connections of the pool.", lambda endpoint: endpoint.idle),
    _ENDPOINTS.gauge(
        "pool_waiting",
        "Calls waiting for a connection of the pool.",
        lambda endpoint: endpoint.waiting,
    ),
    _ENDPOINTS.counter(
        "connects", "Connections made to the endpoint.", lambda endpoint: endpoint.connects
    ),
    _ENDPOINTS.counter(
        "connect_errors",
        "Connections to the endpoint that could not be made.",
        lambda endpoint: endpoint.connect_errors,
    ),
    _ENDPOINTS.histogram(
        "connect_seconds",
        "Time to connect to the endpoint: name, TCP and TLS.",
        lambda endpoint: endpoint.connect,
    ),
    _UPSTREAMS.gauges(
        "upstream_panic",
        ("scope",),
        "1 while every endpoint is ejected, and all are tried.",
        lambda upstream: {(scope,): on for scope, on in upstream.panic.copy().items()},
    ),
    _UPSTREAMS.gauges(
        "upstream_ejected",
        ("scope",),
        "Endpoints that are ejected from rotation.",
        lambda upstream: {(scope,): len(out) for scope, out in upstream.ejected.copy().items()},
    ),
    _QUEUES.gauge(
        "admission_in_flight",
        "Calls in flight that count in `admission`.",
        lambda queue: queue.in_flight,
    ),
    _QUEUES.gauge(
        "admission_queued",
        "Calls waiting in the `admission` queue.",
        lambda queue: queue.queued,
    ),
    _UPSTREAMS.histogram(
        "admission_wait_seconds",
        "Time that calls waited in the `admission` queue.",
        lambda upstream: upstream.queue_wait,
    ),
    _UPSTREAMS.counts(
        "shed",
        "reason",
        "Calls that `admission` refused, by reason.",
        lambda upstream: upstream.shed,
    ),
    _KEYS.counts(
        "key_attempts",
        "result",
        "Attempts with one of several keys, by result: ok, rate_limit, authentication, money, "
        "other, failed, given_up.",
        lambda key: key.calls.copy(),
    ),
    _KEYS.gauges(
        "key_state",
        ("state",),
        "1 for the state of the key: in_use, cooling, restricted or refused.",
        _key_states,
    ),
    _KEYS.counter(
        "key_cooldowns",
        "How often a rate limit took the key out of use for a time.",
        lambda key: key.cooldowns,
    ),
    _LISTENERS.gauge(
        "listener_connections",
        "Open connections of applications.",
        lambda listener: listener.open,
    ),
    _LISTENERS.counter(
        "listener_accepted",
        "Connections accepted from applications.",
        lambda listener: listener.accepted,
    ),
    _LISTENERS.counts(
        "listener_refused",
        "status",
        "Messages refused because they are not valid requests, by status.",
        lambda listener: listener.refused,
    ),
    _LISTENERS.counts(
        "access_denied",
        "reason",
        "Calls that a listener's `access` did not let in, by reason.",
        lambda listener: listener.denied,
    ),
    _LISTENERS.counts(
        "tls_handshakes",
        "result",
        "TLS handshakes of callers: ok, bad_certificate, failed, left.",
        lambda listener: listener.handshakes,
    ),
    _LISTENERS.counts(
        "listener_decisions",
        "decision",
        "Connections to an intercepting listener, by what was decided.",
        lambda listener: listener.decisions,
    ),
    _LISTENERS.gauge(
        "passed_through",
        "Open connections that are passed through.",
        lambda listener: listener.passing,
    ),
    _LISTENERS.counter(
        "passed_through_request_bytes",
        "Bytes passed through from clients to servers.",
        lambda listener: listener.passed_out,
    ),
    _LISTENERS.counter(
        "passed_through_response_bytes",
        "Bytes passed through from servers to clients.",
        lambda listener: listener.passed_in,
    ),
    _TASKS.counts(
        "tasks",
        "result",
        "Calls that named a task: ok, repaired (at the second try), streamed, named (by a header), "
        "invalid, failed.",
        lambda results: results,
    ),
    _BUDGETS.gauge(
        "budget_spent",
        "What was spent of the budget here in this period, all clients together.",
        lambda budget: sum(budget.current().values()),
    ),
    _BUDGETS.gauge(
        "budget_used_ratio",
        "The part of the budget that is spent, of the client that has spent most.",
        lambda budget: max(budget.totals().values(), default=0.0) / budget.settings.amount,
    ),
    _BUDGETS.counter(
        "budget_exceeded",
        "Calls that found the budget spent.",
        lambda budget: budget.exceeded,
    ),
    _BUDGETS.counter(
        "budget_ledger_errors",
        "How often the ledger of the budget could not be used.",
        lambda budget: budget.book.errors,
    ),
    _PROCESS.counts("reloads", "result", "Reloads of the configuration, by result.", _results),
    _PROCESS.gauge(
        "config_last_reload_success_timestamp_seconds",
        "Unix time of the last configuration that was accepted.",
        lambda stats: stats.reloads.last_accepted,
    ),
    _PROCESS.gauge(
        "config_last_reload_successful",
        "1 if the last configuration was accepted, 0 if it was refused.",
        lambda stats: not stats.reloads.last_error,
    ),
    _PROCESS.info(
        "config_info",
        "The configuration in use.",
        hash=lambda stats: stats.reloads.config_hash,
    ),
    _SOURCE.info(
        "config_source_info",
        "The source of the configuration, and the revision that was read last.",
        revision=lambda source: source.revision,
    ),
    _SOURCE.gauge(
        "config_source_last_heard_timestamp_seconds",
        "Unix time when the source was last read or found unchanged.",
        lambda source: source.last_heard,
    ),
    _SOURCE.counter(
        "config_source_errors",
        "Failed reads of the source of the configuration.",
        lambda source: source.errors,
    ),
    _PROCESS.info(
        "build_info",
        "Versions of the sidecar and of Python.",
        version=lambda _: __version__,
        python=lambda _: platform.python_version(),
        implementation=lambda _: platform.python_implementation(),
    ),
    _PROCESS.gauge(
        "start_time_seconds",
        "Unix time when the sidecar started.",
        lambda stats: stats.started,
    ),
    _PROCESS.counter(
        "access_log_dropped",
        "Lines of the access log that were dropped.",
        lambda stats: stats.log_dropped,
    ),
    _PROCESS.counter(
        "spans_exported",
        "Spans that the collector took.",
        lambda stats: stats.spans.exported,
    ),
    _PROCESS.counts(
        "spans_dropped",
        "reason",
        "Spans that were dropped, by reason.",
        lambda stats: stats.spans.dropped.copy(),
    ),
    _PROCESS.counts(
        "span_exports_failed",
        "reason",
        "Requests to the collector that failed, by its status or our error code.",
        lambda stats: stats.spans.failed.copy(),
    ),
    _PROCESS.counter(
        "log_dropped",
        "Lines of the sidecar's own log that were dropped.",
        lambda _: logs.dropped(),
    ),
    _PROCESS.counts(
        "out_of_resources",
        "for",
        "Connections refused or not made for want of descriptors, ports or memory.",
        lambda _: shortage.counts.copy(),
    ),
    _CACHE.gauge("cache_entries", "Replies kept in memory.", lambda kept: kept.entries),
    _CACHE.gauge("cache_bytes", "Memory that they take.", lambda kept: kept.size),
    _CACHE.counter(
        "cache_evicted", "Replies that made room for others.", lambda kept: kept.evicted
    ),
    _STORE.counts(
        "store_questions",
        "result",
        "Questions to the shared store: hit, miss, late, error, busy, refused, foreign.",
        lambda store: store.results,
    ),
    _STORE.histogram(
        "store_seconds",
        "Time to answers of the shared store that came in time.",
        lambda store: store.seconds,
    ),
    _STORE.gauge(
        "store_available",
        "1 while the shared store is asked, 0 while its circuit is open.",
        lambda store: store.state == "closed",
    ),
    _EXCHANGE.counts(
        "shared_rounds",
        "result",
        "Rounds in which limits, budgets and paces are shared: answered, failed, late, lost.",
        lambda exchange: exchange.results,
    ),
    _EXCHANGE.histogram(
        "shared_seconds",
        "Time of such rounds that were answered.",
        lambda exchange: exchange.seconds,
    ),
    _EXCHANGE.gauge(
        "shared_available",
        "1 while limits, budgets and paces are shared, 0 while they go by this sidecar's share.",
        lambda exchange: not exchange.alone,
    ),
    _EXCHANGE.gauge(
        "shared_peers",
        "Sidecars that share limits, budgets and paces, this one too.",
        lambda exchange: exchange.peers,
    ),
    _MEMORY.gauge(
        "request_buffer_bytes",
        "Memory that buffered request bodies take or have reserved.",
        lambda memory: memory.used,
    ),
    _MEMORY.gauge(
        "request_buffer_limit_bytes",
        "Memory that buffered request bodies may take.",
        lambda memory: memory.total,
    ),
    _MEMORY.gauge(
        "request_buffer_waiting",
        "Calls whose body waits for memory.",
        lambda memory: memory.waiting,
    ),
    _MEMORY.counter(
        "request_buffer_refused",
        "Calls refused because no memory for their body became free.",
        lambda memory: memory.refused,
    ),
)
