"""Mistakes in policies, upstreams and routes: each is one error, at its place, in plain words."""

from typing import Any

import pytest
import yaml

from sidecar.config.load import ConfigErrors, Loaded, load

BASE = """\
listeners: [{address: 127.0.0.1:14001}]
upstreams:
  a: {endpoints: [{url: http://a, labels: {v: v1}}]}
  b: {endpoints: [{url: http://b-0}, {url: http://b-1}]}
  c: {endpoints: [{url: "http://{r}.c"}]}
  d: {endpoints: [{url: http://d}], dialect: anthropic}
routes:
  - {upstream: a}
policies:
  default: {}
  strict: {}
"""

PLACES: dict[str, tuple[str | int, ...]] = {
    "listeners[0]": ("listeners", 0),
    "upstreams.a": ("upstreams", "a"),
    "upstreams.b": ("upstreams", "b"),
    "routes[0]": ("routes", 0),
    "policies.strict": ("policies", "strict"),
    "upstreams.a.policy": ("upstreams", "a", "policy"),
    "routes[0].policy": ("routes", 0, "policy"),
}


def changed(place: str, added: str) -> str:
    tree: Any = yaml.safe_load(BASE)
    part = tree
    for step in PLACES[place]:
        part = part.setdefault(step, {}) if isinstance(part, dict) else part[step]
    part |= yaml.safe_load(added.replace(" on:", ' "on":').replace("{on:", '{"on":'))
    return yaml.safe_dump(tree)


def errors(text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        load(text, file="")
    return [f"{error.key}: {error.message} ({error.suggestion})" for error in caught.value.errors]


def loaded(text: str) -> Loaded:
    return load(text, file="")


STORES = [
    ("{url: redis://a:1/0, master: m}", "store.redis.master: only valid with `sentinels`"),
    ("{url: redis://a:1/0, sentinels: ['s:1']}", "store.redis.sentinels: `master` is missing"),
    (
        "{url: redis://a:1/0, sentinels: ['s:1'], master: m, cluster: true}",
        "store.redis.sentinels: only valid without `cluster`",
    ),
    ("{url: redis://u:p@a:1/0}", "store.redis.url: the URL must not have a user and password"),
    ("{url: 'http://a'}", "store.redis.url: expected redis://HOST:PORT/DB"),
    ("{url: redis://a:1/0, ca: pyproject.toml}", "store.redis: `ca` and `cert` are for TLS"),
]


@pytest.mark.parametrize(("redis", "wrong"), STORES)
def test_stores(redis: str, wrong: str) -> None:
    (error,) = errors(BASE + f"store: {{redis: {redis}}}\n")
    assert error.startswith(wrong)


@pytest.mark.parametrize(
    ("budgets", "wrong"),
    [
        ("{limits: {b: {per: day, tokens: 1}}}", "budgets: `ledger` is missing"),
        ("{ledger: '', limits: {}}", "budgets.ledger: "),
        ("{ledger: x, limits: {b: {per: week, tokens: 1}}}", "budgets.limits.b.per: unknown"),
        ("{ledger: x, limits: {b: {per: day}}}", "budgets.limits.b: expected exactly one of"),
        ("{ledger: x, limits: {b: {per: day, money: 1}}}", "budgets.limits.b.money: needs"),
        ("{ledger: x, limits: {b: {per: day, tokens: 0}}}", "budgets.limits.b.tokens: expected"),
        ("{ledger: x, limits: {b: {per: day, tokens: 1, header: ':'}}}", "budgets.limits.b.header"),
        ("{ledger: x, limits: {b: {per: day, tokens: 1, header: a, each_caller: true}}}",
         "budgets.limits.b.each_caller: not valid with `header`"),
        ("{ledger: x, limits: {b: {per: day, tokens: 1, warn_at: 101%}}}", "budgets.limits.b.warn"),
        ("{ledger: x, limits: {b: {per: day, tokens: 1, route: q}}}",
         "budgets.limits.b.route: no route has this name"),
        ("{ledger: x, limits: {b: {per: day, tokens: 1, redis: true}}}",
         "budgets.limits.b.redis: needs `store.redis`"),
    ],
)  # fmt: skip
def test_budgets(budgets: str, wrong: str) -> None:
    (error,) = errors(BASE + f"budgets: {budgets}\n")
    assert error.startswith(wrong)


def test_a_pace_is_shared_through_a_store() -> None:
    text = BASE.replace("  b: {", "  b: {pace: {redis: true}, ", 1)
    (error,) = errors(text)
    assert error.startswith("upstreams.b.pace.redis: needs `store.redis`")
    loaded(text + "store: {redis: {url: redis://a:1/0}}\n")


@pytest.mark.parametrize(
    ("schedule", "wrong"),
    [("0 6 * *", "expected five fields"), ("61 * * * *", "61 is no number from 0 to 59")],
)
def test_schedules(schedule: str, wrong: str) -> None:
    warm_up = f"{{file: /a, schedule: '{schedule}'}}"
    (error,) = errors(BASE + f"store: {{warm_up: {warm_up}}}\n")
    assert error.startswith(f"store.warm_up.schedule: {wrong}")


def test_secrets_of_a_store_are_not_shown() -> None:
    redis = "{url: redis://a:1/0, username: u, password: p4ss, secret: s3cret}"
    shown = str(loaded(BASE + f"store: {{redis: {redis}}}\n").shown)
    assert "p4ss" not in shown
    assert "s3cret" not in shown


IN_POLICIES = [
    ("timeouts: {first_byte: 0s}", ".timeouts.first_byte: must be more than zero"),
    (
        "{cache: {}, read: false}",
        ".cache: needs `read: true`: only replies that are known to be complete are kept",
    ),
    ("limits: {tokens: {total: 1, redis: true}}", ".limits.tokens.redis: needs `store.redis`"),
    ("cache: {jitter: 101%}", ".cache.jitter: expected at most 100%"),
    ("cache: {max_reply: 0B}", ".cache.max_reply: must be more than zero"),
    ("cache_key: {headers: ['a b']}", ".cache_key.headers[0]: "),
    ("single_flight: {buffer: 2GiB}", ".single_flight.buffer: expected at most 1GiB"),
    ("hold: 2GiB", ".hold: expected at most 1GiB"),
    ("batch: {window: 51ms}", ".batch.window: expected at most 50ms"),
    ("batch: {window: 0ms}", ".batch.window: must be more than zero"),
    ("batch: {window: always}", ".batch.window: expected a duration or auto like auto, 5ms"),
    ("batch: {window: 5}", ".batch.window: expected a duration or auto like auto"),
    ("batch: {items: 1}", ".batch.items: expected a whole number from 2 to 2048"),
    ("batch: {bytes: 0B}", ".batch.bytes: must be more than zero"),
    ("batch: {reply: 2GiB}", ".batch.reply: expected at most 1GiB"),
    ("batch: {headers: [a b]}", ".batch.headers[0]: "),
    ("batch: {empty: keep}", ".batch.empty: "),
    ("retry: {max: 11}", ".retry.max: expected a whole number from 0 to 10"),
    ("retry: {mx: 1}", ".retry.mx: unknown key (max)"),
    ("retry: ", ".retry: expected a mapping (`key: value`), not nothing"),
    ("retry: {on: [rest]}", ".retry.on[0]: no condition and no status of an error (reset)"),
    ("retry: {on: [reset, 5x]}", ".retry.on[1]: no condition and no status of an error (5xx)"),
    ("retry: {on: ['200']}", ".retry.on[0]: no condition and no status of an error"),
    ("retry: {on: ['600']}", ".retry.on[0]: no condition and no status of an error"),
    ("retry: {on: [429]}", ".retry.on[0]: expected a string: put it in quotes"),
    ("retry: {on: reset}", ".retry.on: expected a list (`- item`)"),
    ("retry: {methods: [post]}", ".retry.methods[0]: expected a method in capitals, as POST"),
    ("retry: {budget: {ratio: 0.2}}", ".retry.budget.ratio: expected a share like 50%"),
    ("retry: {budget: {min_per_second: -1}}", ".retry.budget.min_per_second: expected a number"),
    ("retry: {budget: {window: 0s}}", ".retry.budget.window: must be more than zero"),
    ("retry: {backoff: {base: 1s}}", ".retry.backoff.base: longer than `cap`"),
    ("retry: {backoff: {cap: 1ms}}", ".retry.backoff.base: longer than `cap`"),
    ("hedge: true", ".hedge: expected a mapping (`key: value`) or null"),
    ("hedge: {after: 0ms}", ".hedge.after: must be more than zero"),
    ("hedge: {quantile: 0.0%}", ".hedge.quantile: must be more than zero"),
    ("hedge: {quantile: 101%}", ".hedge.quantile: expected at most 100%"),
    ("hedge: {budget: {ratio: 200%}}", ".hedge.budget.ratio: expected at most 100%"),
    ("breaker: {failure_rate: 0%}", ".breaker.failure_rate: must be more than zero"),
    ("breaker: {failure_rate: 100.001%}", ".breaker.failure_rate: expected at most 100%"),
    ("breaker: {slow_rate: 0%}", ".breaker.slow_rate: must be more than zero"),
    ("breaker: {slow_after: 0s}", ".breaker.slow_after: must be more than zero"),
    ("breaker: {open: 2m}", ".breaker.open: longer than `open_max`"),
    ("breaker: {open_max: 999ms}", ".breaker.open: longer than `open_max`"),
    ("breaker: {min_calls: 101}", ".breaker.min_calls: more than `window_calls`"),
    ("breaker: {trials: 0}", ".breaker.trials: expected a whole number from 1 to 1000"),
    ("breaker: {jitter: 300%}", ".breaker.jitter: expected at most 100%"),
    ("ejection: {max_ejected: 150%}", ".ejection.max_ejected: expected at most 100%"),
    ("limits: {rate: {burst: 5}}", ".limits.rate.per_second: missing; expected a number from"),
    ("limits: {rate: {per_second: 0}}", ".limits.rate.per_second: expected a number from 0.001"),
    ("limits: {concurrency: 0}", ".limits.concurrency: expected a whole number from 1"),
    ("limits: {client: {}}", ".limits.client: limits nothing: give `rate` or `concurrency`"),
    ("limits: {client: {by: header, concurrency: 1}}", ".limits.client: `header` is missing"),
    ("limits: {client: {header: x, concurrency: 1}}", ".limits.client.header: only valid with"),
    (
        "limits: {client: {by: header, header: 'a b', concurrency: 1}}",
        ".limits.client.header: expected a header name",
    ),
    (
        "limits: {tokens: {client: {by: header, header: 'a b', total: 1}}}",
        ".limits.tokens.client.header: expected a header name",
    ),
    ("limits: {tokens: {total: 1, max_wait: 0s}}", ".limits.tokens.max_wait: must be more than"),
    ("limits: {tokens: {}}", ".limits.tokens: limits nothing: give `requests`"),
    ("limits: {tokens: {total: 0}}", ".limits.tokens.total: expected a whole number from 1"),
    ("limits: {tokens: {model: {}}}", ".limits.tokens.model: limits nothing"),
    ("limits: {tokens: {client: {by: key}}}", ".limits.tokens.client: limits nothing"),
    (
        "limits: {tokens: {client: {by: header, total: 1}}}",
        ".limits.tokens.client: `header` is missing",
    ),
    (
        "{read: false, limits: {tokens: {total: 1}}}",
        ".limits.tokens: needs `read: true`",
    ),
    ("limits: {client: {by: adress}}", ".limits.client.by: unknown value (address)"),
    ("redact: {rules: [email]}", ".redact.rules[0]: unknown value (emails)"),
    ("redact: {action: hide}", ".redact.action: unknown value"),
    ("redact: {patterns: {a: x}}", ".redact.patterns.a: expected a name in capitals"),
    ("redact: {patterns: {A: '['}}", ".redact.patterns.A: not a regular expression"),
    ("redact: {patterns: {A: 'x?'}}", ".redact.patterns.A: must not match an empty text"),
    ("redact: {patterns: {A: '(x+)+y'}}", ".redact.patterns.A: could take too long"),
    ("redact: {patterns: {A: 'ab+'}}", ".redact.patterns.A: must match at most 1,000 characters"),
    ("redact: {guard: {upstream: aa}}", ".redact.guard.upstream: no such upstream (a)"),
    ("redact: {guard: {}}", ".redact.guard.upstream: missing"),
    ("redact: {guard: {upstream: a, path: x}}", ".redact.guard.path: must start with /"),
    ("redact: {guard: {upstream: a, deadline: 0s}}", ".redact.guard.deadline: must be more than"),
    ("shape: {max_tokens: {}}", ".shape.max_tokens: bounds nothing: give `default` or `cap`"),
    ("shape: {max_tokens: {default: 9, cap: 8}}", ".shape.max_tokens.default: more than `cap`"),
    ("shape: {max_tokens: {cap: 0}}", ".shape.max_tokens.cap: expected a whole number from 1"),
    ("shape: {top_p: {}}", ".shape.top_p: bounds nothing: give `default`, `min` or `max`"),
    ("shape: {top_p: {max: 1.1}}", ".shape.top_p.max: expected a number from 0 to 1"),
    ("shape: {temperature: {min: 1, max: 0.5}}", ".shape.temperature.min: more than `max`"),
    ("shape: {temperature: {min: 1, default: 0}}", ".shape.temperature.default: less than `min`"),
    ("shape: {temperature: {max: 1, default: 2}}", ".shape.temperature.default: more than `max`"),
    ("shape: {strip: [a..b]}", ".shape.strip[0]: expected the name of a member"),
    ("shape: {add: {a.: 1}}", '.shape.add."a.": expected the name of a member'),
    ("shape: {context: {}}", ".shape.context.tokens: missing; expected a whole number"),
    ("priority: hihg", ".priority: unknown value (high)"),
    ("balance: dynamc", ".balance: unknown value (dynamic)"),
    ("balance: 5", ".balance: expected one of dynamic, ip_hash, least_conn, prefix, round_robin"),
    ("balance: [dynamic]", ".balance: expected one of dynamic, ip_hash"),
    ("balance: {metod: dynamic}", ".balance.metod: unknown key (method)"),
    ("balance: {method: leastconn}", ".balance.method: unknown value (least_conn)"),
    ("balance: {overload: 99%}", ".balance.overload: expected at least 100%"),
    ("balance: {decay: 0s}", ".balance.decay: must be more than zero"),
    ("balance: {prefix: 2MiB}", ".balance.prefix: expected at most 1MiB"),
    ("balance: {hash_on: header, name: x}", ".balance.hash_on: only valid with `method: ip_hash`"),
    ("balance: {method: ip_hash, hash_on: cookie}", ".balance: `name` is missing"),
    ("balance: {method: ip_hash, name: x}", ".balance.name: only valid with a header or cookie"),
    (
        "balance: {method: ip_hash, hash_on: header, name: 'a b'}",
        ".balance.name: expected the name of a header or cookie",
    ),
]
DIGEST = "sha256:" + 64 * "1"
MISTAKES = {
    "policies.strict": IN_POLICIES,
    "routes[0].policy": IN_POLICIES,
    "upstreams.a.policy": IN_POLICIES,
    "listeners[0]": [
        ("trust: {header: true}", ".trust.header: unknown key (headers)"),
        ("trust: true", ".trust: expected a mapping"),
        ("access: {callers: {a: [secret]}}", ".access.callers.a[0]: expected sha256: and 64 hex"),
        ("access: {callers: {a b: []}}", ".access.callers"),
        (
            f"access: {{callers: {{a: ['{DIGEST}'], b: ['{DIGEST}']}}}}",
            ".access.callers.b[0]: the same as listeners[0].access.callers.a[0]",
        ),
        (
            f"{{mode: forward, access: {{callers: {{a: ['{DIGEST}']}}}}}}",
            ".access: mode forward knows no callers",
        ),
    ],
    "upstreams.a": [
        ("policy: strct", ".policy: no such policy (strict)"),
        ("policy: 5", ".policy: expected a string or a mapping (`key: value`) or null: put it in"),
        ("policy: []", ".policy: expected a string or a mapping (`key: value`) or null, not a li"),
        ("balance: roundrobin", ".balance: unknown value (round_robin)"),
        ("balance: ", ".balance: expected one of dynamic, ip_hash"),
        ("balance: {overload: 10%}", ".balance.overload: expected at least 100%"),
        ("balance: {hash_on: cookie, name: s}", ".balance.hash_on: only valid with `method: ip_"),
        ("endpoints: [{url: http://a, weight: 0}]", ".endpoints[0].weight: expected a whole num"),
        (
            "endpoints: [{url: http://a, labels: {v: 'a,b'}}]",
            ".endpoints[0].labels.v: expected 1 to 63 letters, digits",
        ),
        ("endpoints: [{url: http://a, labels: {'a b': x}}]", '.endpoints[0].labels."a b": not a'),
        (
            "endpoints: [{url: http://a}, {url: http://a, weight: 2}]",
            ".endpoints[1]: duplicate endpoint",
        ),
        ("health: {path: health}", ".health.path: must start with /"),
        ("health: {path: '/{r}'}", ".health.path: captures are for `url`"),
        ("health: {path: /health, tcp: true}", ".health.path: not read with `tcp: true`"),
        ("health: {path: null}", ".health: checks nothing: give `path`, `tcp` or `model`"),
        ("health: {expect: [2x]}", ".health.expect[0]: expected a status, as 204 or 2xx"),
        ("health: {expect: []}", ".health.expect: must not be empty"),
        ("health: {interval: 0s}", ".health.interval: must be more than zero"),
        ("health: {jitter: 101%}", ".health.jitter: expected at most 100%"),
        ("health: {model: ''}", ".health.model: expected 1 to 256 printable characters"),
        ("load: {path: null, orca: false}", ".load: reports nothing: give `path`, `gpu` or"),
        ("load: {interval: 11s}", ".load.stale_after: shorter than `interval`"),
        ("load: {gpu: 'http://{hst}:9400/metrics'}", ".load.gpu: {host} is the only placeholder"),
        ("load: {gpu: ':9400/metrics'}", ".load.gpu: expected a URL"),
        ("pace: {max_wait: 0s}", ".pace.max_wait: must be more than zero"),
        ("pace: {max_waiting: 0}", ".pace.max_waiting: expected a whole number from 1"),
        ("admission: {}", ".admission.max_in_flight: missing; expected a whole number from 1"),
        ("admission: {max_in_flight: 1, shed_at: 101%}", ".admission.shed_at: expected at most"),
        ("admission: {max_in_flight: 1, max_wait: 0s}", ".admission.max_wait: must be more than"),
        (
            "admission: {max_in_flight: 1, max_queued_bytes: 0B}",
            ".admission.max_queued_bytes: must be more than zero",
        ),
    ],
    "routes[0]": [
        ("policy: strct", ".policy: no such policy (strict)"),
        ("policy: ", ".policy: expected a string or a mapping (`key: value`), not nothing"),
        ("model: ''", ".model: expected 1 to 256 printable characters"),
        ("split: [{upstream: bb, share: 5%}]", ".split[0].upstream: no such upstream"),
        ("split: [{upstream: b, share: 5}]", ".split[0].share: expected a share like 50%"),
        ("split: [{upstream: b}]", ".split[0].share: missing; expected a share like 50%"),
        ("split: [{upstream: b, share: 100%}]", ".split: the shares add up to 100% or more"),
        (
            "split: [{upstream: b, share: 33.3%}, {upstream: b, model: x, share: 66.7%}]",
            ".split: the shares add up to 100% or more, which leaves `upstream` no calls",
        ),
        (
            "split: [{upstream: b, share: 1%}, {upstream: b, share: 1%}]",
            ".split[1]: duplicate upstream and model",
        ),
        ("split: [{upstream: a, share: 1%}]", ".split[0]: duplicate upstream and model"),
        ("split: [{upstream: d, share: 1%}]", ".split[0].upstream: speaks anthropic, but the ro"),
        ("split: [{upstream: c, share: 1%}]", ".match: host or path must capture {r}: a URL of"),
        ("sticky: {by: client}", ".sticky: only valid with `split`"),
        (
            "{split: [{upstream: b, share: 1%}], sticky: {by: header}}",
            ".sticky: `name` is missing",
        ),
        (
            "{split: [{upstream: b, share: 1%}], sticky: {by: client, name: x}}",
            ".sticky.name: only valid with a header or cookie",
        ),
        ("fallback: [{upstream: x}]", ".fallback[0].upstream: no such upstream"),
        ("fallback: [{upstream: d}]", ".fallback[0].upstream: speaks anthropic, but the route's"),
        ("fallback: [{upstream: c}]", ".match: host or path must capture {r}: a URL of upstream"),
        ("fallback: [{upstream: a}]", ".fallback[0]: duplicate upstream and model"),
        ("fallback_on: [reset]", ".fallback_on: only valid with `fallback`"),
        ("{fallback: [{upstream: b}], fallback_on: []}", ".fallback_on: must not be empty"),
        ("{fallback: [{upstream: b}], fallback_on: [x]}", ".fallback_on[0]: no condition and no"),
        ("labels: {v: v2}", ".labels: no endpoint of upstream a has all of them"),
        ("labels: {v: v1, w: x}", ".labels: no endpoint of upstream a has all of them"),
        ("labels: {v: ''}", ".labels.v: expected 1 to 63 letters, digits"),
        ("labels_missing: eror", ".labels_missing: unknown value (error)"),
        ("mirror: {upstream: d}", ".mirror.upstream: speaks anthropic, but the route's own upst"),
        ("mirror: {upstream: c}", ".match: host or path must capture {r}: a URL of upstream c"),
        ("mirror: {upstream: b, share: 0%}", ".mirror.share: must be more than zero"),
    ],
}
CASES = [(place, added, place + told) for place, cases in MISTAKES.items() for added, told in cases]


@pytest.mark.parametrize(("place", "added", "told"), CASES)
def test_one_mistake_is_one_error(place: str, added: str, told: str) -> None:
    (error,) = errors(changed(place, added))
    assert error.startswith(told)


ALLOWED = [
    ("listeners[0]", "trust: {headers: true, forwarded_for: true}"),
    ("policies.strict", "retry: {on: [], max: 0, methods: [GET, PURGE], retry_after: 0s}"),
    ("policies.strict", "retry: {on: [bad_reply, '408', 4xx], backoff: {base: 0s, cap: 0s}}"),
    ("policies.strict", "retry: {budget: {ratio: 1000%, min_per_second: 0.5}}"),
    ("policies.strict", "{breaker: null, hedge: {after: 1s}, balance: null}"),
    ("policies.strict", "ejection: {max_ejected: 0%, panic: false}"),
    ("policies.strict", "limits: {client: {by: header, header: x-user, rate: {per_second: 5}}}"),
    ("upstreams.a", "policy: default"),
    ("upstreams.a", "policy: null"),
    ("upstreams.a", "health: {tcp: true}"),
    ("upstreams.a", "health: {path: null, model: glm}"),
    ("upstreams.a", "load: {path: null, gpu: 'http://{host}:9400/metrics', orca: false}"),
    ("upstreams.a", "admission: {max_in_flight: 1, max_queued: 0}"),
    ("upstreams.b", "balance: {method: ip_hash, hash_on: cookie, name: session}"),
    ("routes[0]", "{model: glm, split: [{upstream: a, model: glm-next, share: 99.999%}]}"),
    ("routes[0]", "{fallback: [{upstream: a, model: small}, {upstream: b, model: small}]}"),
    ("routes[0]", "{fallback: [{upstream: b}], fallback_on: ['404', reset]}"),
    ("routes[0]", "labels: {v: v1}"),
    ("routes[0]", "{labels: {v: v2}, labels_missing: any}"),
    ("routes[0]", "{split: [{upstream: b, share: 0%}], sticky: {by: cookie, name: s}}"),
    ("routes[0]", "mirror: {upstream: a}"),
]


@pytest.mark.parametrize(("place", "added"), ALLOWED)
def test_allowed(place: str, added: str) -> None:
    assert loaded(changed(place, added)).config.routes


def test_what_a_route_captures_serves_all_its_upstreams() -> None:
    others = "split: [{upstream: c, share: 1%}], fallback: [{upstream: c}], mirror: {upstream: c}"
    text = BASE.replace("{upstream: a}", f"{{match: {{path: '/{{r}}'}}, upstream: a, {others}}}")
    assert loaded(text).effective.keys() == {(0, "a"), (0, "c")}


INHERITED = [
    ("default: {retry: {backoff: {cap: 2s}}}", "strict: {retry: {backoff: {base: 1s}}}", None),
    ("default: {retry: {backoff: {base: 1s, cap: 1s}}}", "strict: {retry: {backoff: {cap: 1ms}}}",
     "policies.strict.retry.backoff.base: longer than `cap`"),
    ("default: {breaker: {window_calls: 5, min_calls: 5}}", "strict: {breaker: {min_calls: 6}}",
     "policies.strict.breaker.min_calls: more than `window_calls`"),
    ("default: {breaker: {open: 2m}}", "strict: {hold: 0B}",
     "policies.default.breaker.open: longer than `open_max`"),
]  # fmt: skip


@pytest.mark.parametrize(("default", "strict", "told"), INHERITED)
def test_a_policy_is_judged_with_what_it_inherits(
    default: str, strict: str, told: str | None
) -> None:
    text = BASE.replace("default: {}", default).replace("strict: {}", strict)
    if told is None:
        assert loaded(text).config.policies
    else:
        (error,) = errors(text)
        assert error.startswith(told)


def test_what_an_upstream_and_a_route_are_only_together_is_the_routes_mistake() -> None:
    text = BASE.replace("a: {", "a: {policy: {breaker: {window_calls: 10}}, ").replace(
        "{upstream: a}", "{upstream: a, policy: {breaker: {min_calls: 11}}}"
    )
    (error,) = errors(text)
    assert error.startswith("routes[0].policy.breaker.min_calls: more than `window_calls`")


def test_a_broken_default_is_not_blamed_on_what_inherits_from_it() -> None:
    text = BASE.replace("default: {}", "default: {retry: {max: many}}").replace(
        "strict: {}", "strict: {breaker: {open: 2m}}"
    )
    assert [error.partition(":")[0] for error in errors(text)] == ["policies.default.retry.max"]


@pytest.mark.parametrize(
    ("added", "told"),
    [
        ("{endpoint: collector:4318}",
         ".endpoint: expected a URL, as https://api.openai.com or http://glm-0:8000"),
        ("{endpoint: 'http://{x}'}", ".endpoint: a collector's URL has no placeholders"),
        ("{endpoint: 'http://c/?a=b'}",
         ".endpoint: a URL of an endpoint has no query and no fragment"),
        ("{endpoint: 'http://u:p@c'}",
         ".endpoint: the URL must not have a user and password; use `headers`"),
        ("{endpont: x}", ".endpont: unknown key (endpoint)"),
        ("{sample: 150%}", ".sample: expected at most 100%"),
        ("{headers: {'a b': c}}", '.headers."a b": expected a header name, as x-api-key'),
        ("{headers: {host: c}}",
         ".headers.host: this header controls framing or routing and can't carry credentials"),
        ("{headers: {A: b, a: c}}", ".headers: duplicate header"),
        ("{headers: {Content-Type: x}}",
         ".headers.Content-Type: the sidecar sets this header itself"),
        ("{interval: 0s}", ".interval: must be more than zero"),
        ("{batch: 0}", ".batch: expected a whole number from 1 to 2048"),
        ("{max_queued: 10}", ".batch: more than `max_queued`: it could never be full"),
        ("{semconv: '1.40'}", ".semconv: unknown value (1.41)"),
        ("{tls: {key: pyproject.toml}}",
         ".tls.key: `cert` is missing: the certificate that the key belongs to"),
        ("{tls: {ca: no-such.pem}}",
         ".tls.ca: cannot read the file: No such file or directory"),
    ],
)  # fmt: skip
def test_mistakes_in_tracing(added: str, told: str) -> None:
    (error,) = errors(f"{BASE}tracing: {added}\n")
    assert error.removesuffix(" (None)") == f"tracing{told}"


def test_a_header_that_can_inject_lines_is_refused() -> None:
    (error,) = errors(BASE + 'tracing: {headers: {a: "b\\r\\nc: d"}}\n')
    assert error.startswith("tracing.headers.a: ")
    assert "c: d" not in error


def test_headers_of_tracing_are_not_shown() -> None:
    headers = "{authorization: Bearer sk-x, a: '${env:KEY}', b: plain}"
    text = f"{BASE}tracing: {{endpoint: 'http://c', headers: {headers}}}\n"
    found = load(text, file="", resolve=lambda kind, name: "from-env")
    assert isinstance(found.shown, dict)
    assert found.shown["tracing"]["headers"] == {
        "authorization": "Bearer ***", "a": "${env:KEY}", "b": "***",
    }  # fmt: skip
    assert found.config.tracing.headers["a"] == "from-env"
    assert "sk-x" not in repr(found.config)
