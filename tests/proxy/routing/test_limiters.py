"""Limits of routes and clients: their numbers, whose they are, and what outlives a reload."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, cast

import msgspec
import pytest

from sidecar.config.model import CallLimits
from sidecar.errors import Limited
from sidecar.http.fields import Fields
from sidecar.http.headers import REQUEST_FIELDS
from sidecar.http.message import RequestHead
from sidecar.proxy.body.body import RequestBody
from sidecar.proxy.body.memory import BodyMemory
from sidecar.proxy.call import Call
from sidecar.proxy.layers.layer import Layer
from sidecar.proxy.layers.limits import Limiter, Limits
from sidecar.proxy.routing.limiters import limited
from sidecar.proxy.routing.shared_state import SharedState
from tests.proxy.layers.test_affinity import Downstream

INNER = cast("Layer", object())


def made(shared: SharedState | None = None, **config: Any) -> Layer:
    """Around `INNER`, as of a route `r`."""
    shared = shared or SharedState()
    transaction = shared.begin()
    limits = msgspec.convert(config, CallLimits)
    layer = limited(INNER, limits, "r", transaction, lambda code: None)
    shared.commit(transaction)
    return layer


def whole(layer: Layer) -> Limiter:
    assert isinstance(layer, Limits)
    assert layer._whole is not None
    return layer._whole


def call(peer: str, **fields: bytes) -> Call:
    head = RequestHead()
    lines = [b"\r\n%b: %b" % (n.replace("_", "-").encode(), v) for n, v in fields.items()]
    head.fields = Fields(b"".join(lines), REQUEST_FIELDS)
    downstream = cast("Any", Downstream(peer, False))
    return Call(downstream, head, RequestBody(downstream, BodyMemory(2**30, 1.0), b""))


def entered(limiter: Limiter, now: float = 0.0) -> int:
    """How many calls it lets in at once."""
    for count in range(100):
        try:
            limiter.enter(now, "x")
        except Limited:
            return count
    return 100


def test_no_limit_is_no_layer() -> None:
    assert made() is INNER
    assert made(client={}) is not INNER  # though it limits nobody, it may be told to


@pytest.mark.parametrize(
    ("rate", "burst"),
    [
        ({"per_second": 5}, 5),
        ({"per_second": 2.6}, 3),
        ({"per_second": 0.1}, 1),
        ({"per_second": 5, "burst": 2}, 2),
    ],
)
def test_a_burst_is_a_seconds_worth_unless_it_is_said(rate: dict[str, float], burst: int) -> None:
    assert entered(whole(made(rate=rate))) == burst


def test_the_smaller_of_rate_and_concurrency_holds() -> None:
    assert entered(whole(made(rate={"per_second": 5}, concurrency=3))) == 3
    assert entered(whole(made(rate={"per_second": 5}, concurrency=30))) == 5


def test_calls_under_way_are_known_after_a_reload() -> None:
    shared = SharedState()
    before = whole(made(shared, concurrency=3))
    assert entered(before) == 3
    after = whole(made(shared, concurrency=5))
    assert after is before
    assert entered(after) == 2


def test_a_rate_that_is_taken_away_and_comes_back() -> None:
    shared = SharedState()
    assert entered(whole(made(shared, rate={"per_second": 2}))) == 2
    assert entered(whole(made(shared, concurrency=50))) == 48
    assert entered(whole(made(shared, rate={"per_second": 2}))) == 2


def test_clients_take_new_numbers_too() -> None:
    shared = SharedState()
    layer = made(shared, client={"concurrency": 1})
    assert isinstance(layer, Limits)
    assert layer._clients is not None
    known = layer._clients.get("a", 0.0)
    assert entered(known) == 1
    made(shared, client={"concurrency": 4})
    assert entered(known) == 3
    assert entered(layer._clients.get("b", 0.0)) == 4


@pytest.mark.parametrize(
    ("client", "fields", "name"),
    [
        ({}, {"x_team": b"a"}, "10.0.0.1"),
        ({"by": "header", "header": "X-Team"}, {"x_team": b"a"}, "a"),
        ({"by": "header", "header": "x-team"}, {}, "10.0.0.1"),
        ({"by": "header", "header": "x-team"}, {"x_team": b""}, "10.0.0.1"),
        ({"by": "key"}, {"x_team": b"a"}, "10.0.0.1"),
        ({"by": "key"}, {"x_api_key": b"k"}, blake2b(b"k", digest_size=16).hexdigest()),
        ({"by": "key"}, {"authorization": b""}, "10.0.0.1"),
    ],
)
def test_what_tells_clients_apart(
    client: dict[str, str], fields: dict[str, bytes], name: str
) -> None:
    layer = made(client={**client, "concurrency": 1})
    assert isinstance(layer, Limits)
    assert layer._client(call("10.0.0.1", **fields)) == name
