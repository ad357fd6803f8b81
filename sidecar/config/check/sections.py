"""Checks the settings of one section against each other.

Each function yields the path of a key within the section, and what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from sidecar.config.model.balance import Balance
from sidecar.config.model.cache import Store
from sidecar.config.model.limits import ClientLimits, Clients, ClientTokens, TokenBounds
from sidecar.config.model.policy import Breaker, Policy
from sidecar.config.model.shape import Shape, Temperature, TopP
from sidecar.config.model.tracing import Tracing
from sidecar.config.model.upstream import Health, LoadReport, Upstream
from sidecar.config.problems import Path

Violation = tuple[Path, str]

_NEEDS_NAME: Final = "`name` is missing: the name of the header or cookie"
_OF_EXPORTS: Final = ("content-type", "content-encoding", "user-agent")
_IDLE_NAME: Final = "only valid with a header or cookie"


def policy_violations(policy: Policy) -> Iterator[Violation]:
    """Check a policy, with everything that it inherits."""
    if policy.retry.backoff.base > policy.retry.backoff.cap:
        yield ("retry", "backoff", "base"), "longer than `cap`"
    if policy.breaker is not None:
        yield from _within("breaker", _breaker(policy.breaker))
    if isinstance(policy.balance, Balance):
        yield from _within("balance", _balance(policy.balance))
    if policy.shape is not None:
        yield from _within("shape", _shape(policy.shape))
    if policy.cache is not None and not policy.read:
        yield ("cache",), "needs `read: true`: only replies that are known to be complete are kept"
    if policy.limits.client is not None:
        for path, wrong in _client(policy.limits.client):
            yield ("limits", "client", *path), wrong
    if policy.limits.tokens is not None:
        yield from _within("limits", _within("tokens", _tokens(policy)))


def tracing_violations(tracing: Tracing) -> Iterator[Violation]:
    """Check the settings of spans."""
    if tracing.batch > tracing.max_queued:
        yield ("batch",), "more than `max_queued`: it could never be full"
    if tracing.tls.key is not None and tracing.tls.cert is None:
        yield ("tls", "key"), "`cert` is missing: the certificate that the key belongs to"
    lowered = [name.lower() for name in tracing.headers]
    if len(set(lowered)) < len(lowered):
        yield ("headers",), "duplicate header"
    for name in tracing.headers:
        if name.lower() in _OF_EXPORTS:
            yield ("headers", name), "the sidecar sets this header itself"


def upstream_violations(upstream: Upstream) -> Iterator[Violation]:
    """Check an upstream, but for its policy."""
    if upstream.tls.key is not None and upstream.tls.cert is None:
        yield ("tls", "key"), "`cert` is missing: the certificate that the key belongs to"
    yield from _within("credentials", _keys(upstream.credentials))
    if isinstance(upstream.balance, Balance):
        yield from _within("balance", _balance(upstream.balance))
    if upstream.admission is not None:
        for path, wrong in _told_apart(upstream.admission.clients):
            yield ("admission", "clients", *path), wrong
    if upstream.health is not None:
        yield from _within("health", _health(upstream.health))
    if upstream.load is not None:
        yield from _within("load", _load(upstream.load))


def store_violations(store: Store) -> Iterator[Violation]:
    """Check where replies are kept."""
    redis = store.redis
    if redis is None:
        return
    if redis.cluster and redis.sentinels:
        yield ("redis", "sentinels"), "only valid without `cluster`"
    if redis.sentinels and redis.master is None:
        yield ("redis", "sentinels"), "`master` is missing: its name, as the Sentinels know it"
    if redis.master is not None and not redis.sentinels:
        yield ("redis", "master"), "only valid with `sentinels`"
    if redis.key is not None and redis.cert is None:
        yield ("redis", "key"), "`cert` is missing: the certificate that the key belongs to"
    if (redis.ca or redis.cert) and not redis.url.startswith("rediss:"):
        yield ("redis",), "`ca` and `cert` are for TLS: `url` must begin with rediss:"


def _keys(credentials: object) -> Iterator[Violation]:
    """Check that keys can be told apart."""
    names: set[str] = set()
    values: set[str] = set()
    for index, key in enumerate(credentials if isinstance(credentials, tuple) else ()):
        name = key.name or f"key-{index + 1}"
        if name in names:
            yield (index, "name"), "the name of an earlier key"
        if key.value in values:
            yield (index, "value"), "the value of an earlier key"
        names.add(name)
        values.add(key.value)


def name_violations(
    by: Literal["client", "header", "cookie"], name: str | None
) -> Iterator[Violation]:
    """Check that a header or cookie has a name, and the client's address has none."""
    if by == "client" and name is not None:
        yield ("name",), _IDLE_NAME
    if by != "client" and name is None:
        yield (), _NEEDS_NAME


def _within(key: str, wrongs: Iterator[Violation]) -> Iterator[Violation]:
    return (((key, *path), wrong) for path, wrong in wrongs)


def _breaker(breaker: Breaker) -> Iterator[Violation]:
    if breaker.min_calls > breaker.window_calls:
        yield ("min_calls",), "more than `window_calls`: it could never open"
    if breaker.open > breaker.open_max:
        yield ("open",), "longer than `open_max`"


def _balance(balance: Balance) -> Iterator[Violation]:
    if balance.hash_on != "client" and balance.method != "ip_hash":
        yield ("hash_on",), "only valid with `method: ip_hash`"
    yield from name_violations(balance.hash_on, balance.name)


def _shape(shape: Shape) -> Iterator[Violation]:
    tokens = shape.max_tokens
    if tokens is not None:
        if tokens.default is None and tokens.cap is None:
            yield ("max_tokens",), "bounds nothing: give `default` or `cap`"
        if tokens.default and tokens.cap and tokens.default > tokens.cap:
            yield ("max_tokens", "default"), "more than `cap`"
    for name, bounds in (("temperature", shape.temperature), ("top_p", shape.top_p)):
        if bounds is not None:
            yield from _within(name, _bounds(bounds))


def _bounds(bounds: Temperature | TopP) -> Iterator[Violation]:
    if bounds.default is None and bounds.min is None and bounds.max is None:
        yield (), "bounds nothing: give `default`, `min` or `max`"
    least, most = bounds.min, bounds.max
    if least is not None and most is not None and least > most:
        yield ("min",), "more than `max`"
    default = bounds.default
    if default is not None and least is not None and default < least:
        yield ("default",), "less than `min`"
    if default is not None and most is not None and default > most:
        yield ("default",), "more than `max`"


def _client(limits: ClientLimits) -> Iterator[Violation]:
    if limits.rate is None and limits.concurrency is None:
        yield (), "limits nothing: give `rate` or `concurrency`"
    yield from _told_apart(limits)


def _tokens(policy: Policy) -> Iterator[Violation]:
    limits = policy.limits.tokens
    assert limits is not None
    if not policy.read:
        yield (), "needs `read: true`: replies tell how many tokens a call used"
    parts = limits.model, limits.client
    if _unbounded(limits) and all(part is None for part in parts):
        yield (), "limits nothing: give `requests`, `input`, `output` or `total`"
    for name, part in zip(("model", "client"), parts, strict=True):
        if part is not None and _unbounded(part):
            yield (name,), "limits nothing: give `requests`, `input`, `output` or `total`"
    if limits.client is not None:
        yield from _within("client", _told_apart(limits.client))


def _unbounded(bounds: TokenBounds | ClientTokens) -> bool:
    numbers = (bounds.requests, bounds.input, bounds.output, bounds.total)
    return all(number is None for number in numbers)


def _told_apart(clients: Clients) -> Iterator[Violation]:
    if clients.by == "header" and clients.header is None:
        yield (), "`header` is missing: the name of the header"
    if clients.by != "header" and clients.header is not None:
        yield ("header",), "only valid with `by: header`"


def _health(health: Health) -> Iterator[Violation]:
    if health.path is None and not health.tcp and health.model is None:
        yield (), "checks nothing: give `path`, `tcp` or `model`"


def _load(load: LoadReport) -> Iterator[Violation]:
    if load.path is None and load.gpu is None and not load.orca:
        yield (), "reports nothing: give `path`, `gpu` or `orca`"
    if load.stale_after < load.interval:
        yield ("stale_after",), "shorter than `interval`: every report would be stale"
