from __future__ import annotations

from collections.abc import Callable

import pytest

from sidecar.control.live.view import Clock, State, endpoint_row, state_of
from sidecar.policy.breaker_settings import BreakerSettings
from sidecar.upstream.connect.name import Name
from sidecar.upstream.endpoints.endpoint import Endpoint
from sidecar.upstream.endpoints.overrides import Override
from tests.upstream.served import endpoint as endpoint_at

NOW = Clock(1000.0, 2e9)


def overridden(**said: object) -> Callable[[Endpoint], None]:
    return lambda e: e.configure(2.0, {}, Override()._replace(**said))  # type: ignore[arg-type]


def unweighted(endpoint: Endpoint) -> None:
    endpoint.configure(0.0, {}, Override())


def down(endpoint: Endpoint) -> None:
    endpoint.set_health(up=False)
    endpoint.problem = "GET /health: 503"


def cooling(endpoint: Endpoint) -> None:
    endpoint.load.cool(NOW.monotonic + 12)


def opened(endpoint: Endpoint) -> None:
    settings = BreakerSettings(0.5, 1.0, None, 2, 10.0, 10, 10.0, 60.0, 0.0, 1)
    breaker = endpoint.new_breaker("default", settings, lambda: 0.5)
    for _ in range(2):
        permit = breaker.acquire(NOW.monotonic)
        assert permit is not None
        breaker.settle(permit, NOW.monotonic, failed=True, seconds=0.1)


def half_open(endpoint: Endpoint) -> None:
    opened(endpoint)
    assert endpoint.breakers["default"].acquire(NOW.monotonic + 1000) is not None


@pytest.mark.parametrize(
    ("happened", "name", "reason"),
    [
        ((), "in_use", ""),
        ((overridden(drained=True), down), "drained", "an operator drains it"),
        ((overridden(breaker="open"),), "forced_open", "an operator holds its breaker open"),
        ((overridden(breaker="closed"),), "in_use", "an operator holds its breaker closed"),
        ((overridden(weight=0.0),), "weight_0", "an operator gives it weight 0"),
        ((unweighted,), "weight_0", "the configuration gives it weight 0"),
        ((down, opened), "down", "GET /health: 503"),
        ((opened, cooling), "open", "breaker of default: 2 failed of 2"),
        ((half_open,), "half_open", "breaker of default: a few trials decide"),
        ((cooling,), "cooling", "it asked to be left alone, after a rate limit for example"),
    ],
)
async def test_the_strongest_reason_is_the_state(
    happened: tuple[Callable[[Endpoint], None], ...], name: str, reason: str
) -> None:
    endpoint = endpoint_at("http://127.0.0.1:1")
    for each in happened:
        each(endpoint)
    assert state_of(endpoint, NOW)[:2] == (name, reason)


async def test_when_a_state_ends() -> None:
    endpoint = endpoint_at("http://127.0.0.1:1")
    cooling(endpoint)
    assert state_of(endpoint, NOW).until == 2_000_000_012
    opened(endpoint)
    until = state_of(endpoint, NOW).until
    assert until is not None
    assert 2_000_000_001 <= until <= 2_000_000_020


async def test_a_name_without_an_address_says_so_once_it_was_looked_up() -> None:
    async def find(_: str) -> list[object]:
        raise OSError("the resolver is away")

    endpoint = endpoint_at("http://127.0.0.1:1")
    endpoint.resolved = Name("nowhere.test", 80, 30.0, find)  # type: ignore[arg-type]
    assert state_of(endpoint, NOW).name == "in_use"
    with pytest.raises(Exception, match="nowhere"):
        await endpoint.resolved.get()
    assert state_of(endpoint, NOW).name == "no_address"
    endpoint.resolved.stop()


async def test_a_row_changes_only_where_something_has() -> None:
    endpoint = endpoint_at("http://127.0.0.1:1")
    row = endpoint_row(endpoint, 3, NOW)
    later = endpoint_row(endpoint, 3, Clock(1001.0, 2e9 + 1))
    assert row == later
    assert (row["n"], row["name"], row["override"]) == (3, "http://127.0.0.1:1", None)
    overridden(weight=0.0)(endpoint)
    assert endpoint_row(endpoint, 3, NOW)["override"] == {
        "weight": 0.0,
        "drained": False,
        "breaker": None,
    }
    assert state_of(endpoint, NOW) == State("weight_0", "an operator gives it weight 0")
