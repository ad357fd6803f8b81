"""Several sources make up one configuration; errors name the one that is wrong."""

from __future__ import annotations

import pytest

from sidecar.config.load import ConfigErrors, Written, load

BASE = """\
listeners: [{address: 127.0.0.1:14001}]
upstreams:
  u: {endpoints: [{url: http://a}, {url: http://b}]}
routes:
  - {name: orders, upstream: u, policy: order-service}
policies:
  default: {retry: {max: 1}}
  order-service: {timeouts: {connect: 1s}}
"""


def over(*texts: str) -> list[Written]:
    return [Written(text, f"etcd://e/{number}") for number, text in enumerate(texts)]


def errors(*texts: str) -> list[str]:
    with pytest.raises(ConfigErrors) as refused:
        load(BASE, file="base.yaml", over=over(*texts))
    return list(map(str, refused.value.errors))


@pytest.mark.parametrize(
    "table",
    [
        "order-service: {timeout: 2000ms, retries: 2, breaker: 50%}",
        "services:\n  order-service: {timeout: 2000ms, retries: 2, breaker: 50%}",
        "order-service:\n  timeouts: {first_byte: 2s}\n  retry: {max: 2}\n"
        "  breaker: {failure_rate: 50%}",
    ],
)
def test_a_table_changes_the_numbers_of_policies(table: str) -> None:
    loaded = load(BASE, file="base.yaml", over=over(table))
    policy = loaded.effective[0, "u"].policy
    assert (policy.timeouts.connect, policy.timeouts.first_byte) == (1.0, 2.0)
    assert policy.retry.max == 2
    assert policy.breaker is not None
    assert policy.breaker.failure_rate == 0.5


def test_a_document_is_merged_and_the_last_one_wins() -> None:
    loaded = load(
        BASE,
        file="base.yaml",
        over=over(
            "policies: {default: {retry: {max: 3}}, order-service: {hold: 1MiB}}",
            "policies: {default: {retry: {max: 4}}}\nupstreams: {u: {endpoints: [{url: http://c}]}}",
        ),
    )
    policy = loaded.effective[0, "u"].policy
    assert (policy.retry.max, policy.hold, policy.timeouts.connect) == (4, 2**20, 1.0)
    assert [each.url for each in loaded.config.upstreams["u"].endpoints] == ["http://c"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "order-servce: {retries: 2}",
            "etcd://e/0:1: order-servce: there is no policy of this name for the row to change "
            '(did you mean "order-service"?)',
        ),
        (
            "order-service:\n  retries: many",
            "etcd://e/0:2: policies.order-service.retry.max: expected a whole number",
        ),
        (
            "order-service:\n  retrys: 2",
            'etcd://e/0:2: policies.order-service.retrys: unknown key (did you mean "retry"?)',
        ),
        (
            "upstreams:\n  u:\n    endpoints:\n    - {url: http://a}\n    - {url: a}",
            "etcd://e/0:5: upstreams.u.endpoints[1].url: expected a URL",
        ),
        ("a: [", "etcd://e/0:1: not YAML"),
        ("", "etcd://e/0:1: the file is empty"),
        ("services: 3", "etcd://e/0:1: services: expected a row for each policy"),
        ("services: {order-service: 3}", "etcd://e/0:1: services.order-service: expected settings"),
    ],
)
def test_what_is_wrong_has_its_place(text: str, error: str) -> None:
    assert errors(text)[0].startswith(error)


def test_a_mistake_below_keeps_its_own_place() -> None:
    with pytest.raises(ConfigErrors) as refused:
        load(
            BASE.replace("{max: 1}", "{max: many}"),
            file="base.yaml",
            over=over("order-service: {retries: many}"),
        )
    assert [(error.file, error.line) for error in refused.value.errors] == [
        ("base.yaml", 7),
        ("etcd://e/0", 1),
    ]


@pytest.mark.parametrize("text", ["- 1", "<html>no</html>", "5"])
def test_what_is_no_mapping_is_told_once_and_with_its_place(text: str) -> None:
    assert errors(text) == ["etcd://e/0:1: expected a mapping (`key: value`)"]
    with pytest.raises(ConfigErrors) as refused:
        load(text, file="base.yaml", over=over("order-service: {retries: 2}"))
    [error] = map(str, refused.value.errors)
    assert error.startswith("base.yaml:1: expected a mapping (`key: value`)")


def test_the_hash_is_of_all_texts() -> None:
    one = load(BASE, file="base.yaml", over=over("order-service: {retries: 2}"))
    two = load(BASE, file="base.yaml", over=over("order-service: {retries: 3}"))
    assert len({one.hash, two.hash, load(BASE, file="base.yaml").hash}) == 3
