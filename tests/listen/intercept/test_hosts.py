"""Which hosts are intercepted: exactly those that the router would find a named host for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.defaults import FILE, default_text
from sidecar.config.load import load
from sidecar.config.model.route import Match, Route
from sidecar.listen.intercept.hosts import RoutedHosts

DEFAULT = RoutedHosts(load(default_text(), file=FILE).config.routes)


def hosts(*names: str | None) -> RoutedHosts:
    return RoutedHosts([Route(upstream="u", match=Match(host=name)) for name in names])


@pytest.mark.parametrize(
    "host",
    [
        "api.openai.com",
        "api.anthropic.com",
        "mine.openai.azure.com",
        "bedrock-runtime.eu-west-1.amazonaws.com",
        "us-central1-aiplatform.googleapis.com",
    ],
)
def test_well_known(host: str) -> None:
    assert DEFAULT.contain(host)


@pytest.mark.parametrize(
    "host",
    ["example.com", "openai.com", "xapi.openai.com", "api.openai.com.evil.example", "", "127.0.0.1",
     "a.b.openai.azure.com", "s3.amazonaws.com", "storage.googleapis.com"],
)  # fmt: skip
def test_others(host: str) -> None:
    assert not DEFAULT.contain(host)


def test_a_route_without_a_host_names_nobody() -> None:
    assert not hosts(None).contain("a")
    assert not hosts().contain("")


def test_patterns() -> None:
    some = hosts("*.x.com", "{a}-api.y.com", "::1", "10.0.0.1", None)
    assert [
        some.contain(name) for name in ("a.x.com", "a.b.x.com", "b-api.y.com", "::1", "10.0.0.1")
    ]
    assert not any(map(some.contain, ("x.com", "api.y.com", "a.b-api.y.com", "10x0.0.1")))


@given(st.text(max_size=40))
def test_any_text(host: str) -> None:
    assert DEFAULT.contain(host) is DEFAULT.contain(host)
