"""A check where the secrets are not: all else is checked, and what is not is told."""

from __future__ import annotations

import pytest

from sidecar.config.load import ConfigErrors, Loaded, load
from sidecar.config.read.references import from_system, nothing

TEXT = """\
listeners: [{address: "${env:HOST}:${env:PORT}"}, {address: "${env:LISTEN}"}]
upstreams:
  a:
    endpoints: [{url: "${env:URL}", labels: {v: "${env:LABEL}"}}, {dns: "http://${env:NAME}:8000/v1"}]
    credentials:
      - {header: authorization, value: "Bearer ${file:/no/such/key}"}
      - {header: authorization, value: "Bearer ${env:KEY}"}
    tls: {ca: /no/such/ca.pem}
    balance: "${env:BALANCE}"
routes:
  - upstream: "${env:UPSTREAM}"
    match: {path: "${env:PREFIX}", method: "${env:METHOD}", model: "${env:MODEL}"}
    policy: {timeouts: {first_byte: "${env:WAIT}"}, retry: {on: ["${env:ON}"], budget: {ratio: "${env:R}"}}}
    split: [{upstream: a, model: m, share: "${env:SHARE}"}]
"""  # noqa: E501


def offline(text: str) -> Loaded:
    return load(text, file="f.yaml", resolve=nothing, offline=True)


def test_whatever_a_reference_stands_for_the_rest_is_checked() -> None:
    loaded = offline(TEXT)
    assert loaded.warnings == ()
    told = [str(each) for each in loaded.unchecked]
    assert told[0] == "f.yaml:1: listeners[0].address: environment variable HOST is not set"
    assert (
        "f.yaml:6: upstreams.a.credentials[0].value: cannot read file /no/such/key: not read here"
        in told
    )
    assert "f.yaml:8: upstreams.a.tls.ca: cannot read the file: not read here" in told
    assert len({each.key for each in loaded.unchecked}) == TEXT.count('"') // 2 + 1


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("balance:", "balanse:", '9: upstreams.a.balanse: unknown key (did you mean "balance"?)'),
        ("upstream: a, model", "upstream: b, model", "14: routes[0].split[0].upstream: no such"),
        ("listeners:", "drain: 5\nlisteners:", "1: drain: expected a duration"),
        ("share:", "share: 1, model:", "14: routes[0].split[0].model: duplicate key"),
        ("${env:KEY}", "${env:key-1}", "7: upstreams.a.credentials[1].value: expected ${env:NAME}"),
        ("routes:", "calls: {keep: \"${env:N}\"}\nroutes:", "10: calls.keep: expected a whole"),
    ],
)  # fmt: skip
def test_mistakes_of_the_rest_are_told(old: str, new: str, error: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigErrors) as caught:
        offline(TEXT.replace(old, new, 1))
    assert f"f.yaml:{error}" in str(caught.value)


def test_what_is_here_is_read() -> None:
    text = TEXT.replace('"${env:WAIT}"', '"${env:WAIT}"')

    def resolve(kind: str, name: str) -> str:
        if name == "WAIT":
            return "5 fortnights"
        raise LookupError

    with pytest.raises(ConfigErrors, match=r"timeouts\.first_byte: expected a duration"):
        load(text, file="f.yaml", resolve=resolve, offline=True)


def test_a_file_that_is_here_but_unusable_is_a_mistake(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "key").write_bytes(b"\xff")
    for name in ("key", ""):
        text = TEXT.replace("/no/such/key", f"{folder}/{name}")
        with pytest.raises(ConfigErrors, match=r"credentials\[0\]\.value: cannot read file"):
            load(text, file="f.yaml", resolve=from_system, offline=True)


def test_online_each_is_a_mistake() -> None:
    with pytest.raises(ConfigErrors) as caught:
        load(TEXT, file="f.yaml", resolve=nothing)
    assert len(caught.value.errors) > 10
