"""The table of which rule each text of a configuration obeys. The rules are in `grammar`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from sidecar.config.check import addresses, grammar, urls
from sidecar.config.check.regex import slow
from sidecar.config.check.search import unfit
from sidecar.config.model.units import Duration, Share, Size

Rule = Callable[[str], str | None]

MAX_LINE: Final = "1MiB"
MAX_HEADERS: Final = "16MiB"
MAX_HOLD: Final = "1GiB"
MAX_REPLY: Final = "64MiB"
MAX_PREFIX: Final = "1MiB"
MAX_WINDOW: Final = "50ms"


def _at_most(largest: str, unit: type[Size | Share | Duration] = Size) -> Rule:
    def rule(text: str) -> str | None:
        try:
            return f"expected at most {largest}" if unit(text) > unit(largest) else None
        except ValueError:  # another error says so
            return None

    return rule


def _at_least_whole(text: str) -> str | None:
    try:
        return "expected at least 100%" if Share(text) < 1 else None
    except ValueError:
        return None


_part = _at_most("100%", Share)

_IN_LISTENERS: Final[tuple[tuple[str, Rule], ...]] = (
    ("address", addresses.address),
    ("path", grammar.socket_path),
    ("head_timeout", grammar.positive),
    ("keep_alive", grammar.positive),
    ("limits.request_line", grammar.positive),
    ("limits.request_line", _at_most(MAX_LINE)),
    ("limits.header", grammar.positive),
    ("limits.header", _at_most(MAX_LINE)),
    ("limits.headers", grammar.positive),
    ("limits.headers", _at_most(MAX_HEADERS)),
    ("trust.team", grammar.shown_header),
    ("tls.cert", grammar.file_path),
    ("tls.key", grammar.file_path),
    ("access.callers.*.*", grammar.digest),
    ("access.tokens.keys", grammar.file_path),
    ("access.tokens.header", grammar.header_name),
    ("access.tokens.allow.*", grammar.pattern),
    ("access.certificates.ca", grammar.file_path),
    ("access.certificates.allow.*", grammar.pattern),
)
_IN_UPSTREAMS: Final[tuple[tuple[str, Rule], ...]] = (
    ("endpoints.*.url", urls.url),
    ("endpoints.*.dns", urls.dns_url),
    ("endpoints.*.labels.*", grammar.label_value),
    ("credentials.header", grammar.credential_header),
    ("credentials.value", grammar.header_value),
    ("credentials.*.header", grammar.credential_header),
    ("credentials.*.value", grammar.header_value),
    ("tls.ca", grammar.file_path),
    ("tls.cert", grammar.file_path),
    ("tls.key", grammar.file_path),
    ("tls.server_name", addresses.server_name),
    ("pool.lifetime", grammar.positive),
    ("pool.idle_timeout", grammar.positive),
    ("dns_refresh", grammar.positive),
    ("dns_max_stale", grammar.positive),
    ("admission.clients.header", grammar.header_name),
    ("health.path", urls.probe_path),
    ("health.expect.*", grammar.status),
    ("health.interval", grammar.positive),
    ("health.timeout", grammar.positive),
    ("health.jitter", _part),
    ("health.model", grammar.model),
    ("health.models_path", urls.probe_path),
    ("load.path", urls.probe_path),
    ("load.interval", grammar.positive),
    ("load.timeout", grammar.positive),
    ("load.stale_after", grammar.positive),
    ("load.gpu", urls.exporter_url),
    ("admission.max_queued_bytes", grammar.positive),
    ("admission.shed_at", _part),
    ("admission.max_wait", grammar.positive),
    ("pace.max_wait", grammar.positive),
)
_IN_ROUTES: Final[tuple[tuple[str, Rule], ...]] = (
    ("match.host", urls.host_pattern),
    ("match.path", urls.path_prefix),
    ("match.method", grammar.method),
    ("match.model", grammar.pattern),
    ("match.headers.(keys)", grammar.header_name),
    ("match.headers.*", grammar.header_pattern),
    ("rewrite", urls.rewrite),
    ("model", grammar.model),
    ("split.*.model", grammar.model),
    ("split.*.share", _part),
    ("sticky.name", grammar.caller_name),
    ("fallback.*.model", grammar.model),
    ("labels.*", grammar.label_value),
    ("mirror.model", grammar.model),
    ("mirror.share", grammar.positive),
    ("mirror.share", _part),
)
_IN_BALANCES: Final[tuple[tuple[str, Rule], ...]] = (
    ("name", grammar.caller_name),
    ("overload", _at_least_whole),
    ("prefix", grammar.positive),
    ("prefix", _at_most(MAX_PREFIX)),
    ("decay", grammar.positive),
)
_IN_POLICIES: Final[tuple[tuple[str, Rule], ...]] = (
    ("timeouts.*", grammar.positive),
    ("hold", _at_most(MAX_HOLD)),
    ("retry.methods.*", grammar.method),
    ("retry.budget.window", grammar.positive),
    ("hedge.after", grammar.positive),
    ("hedge.quantile", grammar.positive),
    ("hedge.quantile", _part),
    ("hedge.budget.ratio", _part),
    ("hedge.budget.window", grammar.positive),
    ("breaker.failure_rate", grammar.positive),
    ("breaker.failure_rate", _part),
    ("breaker.slow_after", grammar.positive),
    ("breaker.slow_rate", grammar.positive),
    ("breaker.slow_rate", _part),
    ("breaker.window", grammar.positive),
    ("breaker.open", grammar.positive),
    ("breaker.open_max", grammar.positive),
    ("breaker.jitter", _part),
    ("ejection.max_ejected", _part),
    ("limits.client.header", grammar.header_name),
    ("limits.tokens.client.header", grammar.header_name),
    ("limits.tokens.max_wait", grammar.positive),
    ("rules.*.exact.*", grammar.message),
    ("rules.*.glob.*", grammar.message),
    ("rules.*.regex.*", slow),
    ("cache_key.headers.*", grammar.header_name),
    ("cache.ttl", grammar.positive),
    ("cache.jitter", _part),
    ("cache.max_reply", grammar.positive),
    ("cache.max_reply", _at_most(MAX_REPLY)),
    ("single_flight.buffer", grammar.positive),
    ("single_flight.buffer", _at_most(MAX_HOLD)),
    ("batch.window", grammar.positive),
    ("batch.window", _at_most(MAX_WINDOW, Duration)),
    ("batch.bytes", grammar.positive),
    ("batch.bytes", _at_most(MAX_HOLD)),
    ("batch.reply", grammar.positive),
    ("batch.reply", _at_most(MAX_HOLD)),
    ("batch.headers.*", grammar.header_name),
    ("redact.patterns.(keys)", grammar.kind),
    ("redact.patterns.*", unfit),
    ("redact.guard.path", urls.probe_path),
    ("redact.guard.deadline", grammar.positive),
    ("shape.strip.*", grammar.member),
    ("shape.add.(keys)", grammar.member),
)
_ELSEWHERE: Final[tuple[tuple[str, Rule], ...]] = (
    ("tasks.*.models.*.model", grammar.model),
    ("tasks.*.models.*.up_to", grammar.positive),
    ("tasks.*.models.*.path", urls.upstream_path),
    ("tasks.*.models.*.labels.*", grammar.label_value),
    ("budgets.ledger", grammar.file_path),
    ("budgets.limits.*.model", grammar.model),
    ("budgets.limits.*.header", grammar.header_name),
    ("budgets.limits.*.warn_at", _part),
    ("intercept.ca", grammar.file_path),
    ("intercept.publish", grammar.file_path),
    ("intercept.clients.*", addresses.network),
    ("intercept.allow.*", urls.network_or_host),
    ("intercept.sniff", grammar.positive),
    ("intercept.remember", grammar.positive),
    ("store.memory", grammar.positive),
    ("store.warm_up.file", grammar.file_path),
    ("store.warm_up.schedule", grammar.cron),
    ("store.redis.url", urls.redis_url),
    ("store.redis.ca", grammar.file_path),
    ("store.redis.cert", grammar.file_path),
    ("store.redis.key", grammar.file_path),
    ("store.redis.sentinels.*", addresses.address),
    ("access_log.path", grammar.file_path),
    ("tracing.endpoint", urls.collector_url),
    ("tracing.sample", _part),
    ("tracing.headers.(keys)", grammar.credential_header),
    ("tracing.headers.*", grammar.header_value),
    ("tracing.tls.ca", grammar.file_path),
    ("tracing.tls.cert", grammar.file_path),
    ("tracing.tls.key", grammar.file_path),
    ("tracing.tls.server_name", addresses.server_name),
    ("tracing.timeout", grammar.positive),
    ("tracing.interval", grammar.positive),
    ("admin.address", addresses.loopback),
    ("admin.health", addresses.address),
)
POLICIES: Final = ("policies.*", "upstreams.*.policy", "routes.*.policy")
_BALANCES: Final = ("upstreams.*.balance", *(f"{policy}.balance" for policy in POLICIES))


def _each(
    groups: Iterable[tuple[Iterable[str], Iterable[tuple[str, Rule]]]],
) -> Iterator[tuple[str, Rule]]:
    for places, rules in groups:
        for place in places:
            yield from ((f"{place}.{steps}", rule) for steps, rule in rules)


RULES: Final = (
    *_each(
        (
            (("listeners.*",), _IN_LISTENERS),
            (("upstreams.*",), _IN_UPSTREAMS),
            (("routes.*",), _IN_ROUTES),
            (POLICIES, _IN_POLICIES),
            (_BALANCES, _IN_BALANCES),
        )
    ),
    *_ELSEWHERE,
)
"""The path of each text, and the rule that it obeys."""
