"""Which layers a route's stack has: a policy that is absent is no layer at all."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from sidecar.config.load import Loaded, load
from sidecar.observe.stats import Stats
from sidecar.proxy.layers.attempt import Attempt
from sidecar.proxy.layers.fallback import Fallback, Split, Target
from sidecar.proxy.layers.layer import Layer
from sidecar.proxy.layers.mirror import Mirror
from sidecar.proxy.routing.shared_state import SharedState
from sidecar.proxy.routing.snapshot import Snapshot, compile_snapshot
from sidecar.upstream.endpoints.registry import Registry
from sidecar.upstream.endpoints.upstream import Upstream

NONE: dict[str, Any] = {"retry": {"max": 0}, "read": False}
CREDENTIALS = {"credentials": {"header": "authorization", "value": "Bearer x"}}
KEYS = {"credentials": [{"header": "authorization", "value": f"Bearer {key}"} for key in "xy"]}


def snapshot(
    policy: dict[str, Any],
    upstream: dict[str, Any],
    route: dict[str, Any],
    listener: dict[str, Any] | None = None,
    shared: SharedState | None = None,
) -> Snapshot:
    """Of one route to `u`; there is `v` as well."""
    config = {
        "listeners": [{"address": "127.0.0.1:1", **(listener or {})}],
        "upstreams": {
            "u": {"endpoints": [{"url": "http://u"}], **upstream},
            "v": {"endpoints": [{"url": "http://v"}], **CREDENTIALS, "policy": "v"},
        },
        "routes": [{"name": "r", "upstream": "u", **route}],
        "policies": {"default": policy, "v": {"retry": {"max": 0}, "read": False}},
    }
    loaded, stats, shared = load(json.dumps(config), file="x"), Stats(0.0), shared or SharedState()
    transaction = shared.begin()
    made = compile_snapshot(loaded, bound(loaded, stats), stats, transaction)
    shared.commit(transaction)
    return made


def bound(loaded: Loaded, stats: Stats) -> dict[str, Upstream]:
    registry, wanted = Registry(stats), loaded.config.upstreams
    return registry.bind(wanted, registry.secure(wanted)).upstreams


def names(layer: Layer) -> list[str]:
    """The layers from the outside in, along the route's own upstream."""
    inner = {Split: "_targets", Fallback: "_first"}.get(type(layer), "_inner")
    within = getattr(layer, inner, None)
    if isinstance(within, list):
        within = within[0]
    return [type(layer).__name__, *([] if within is None else names(within))]


def stack(snapshot: Snapshot) -> Layer:
    return snapshot.router.rules[0].route.stack


V = {"upstream": "v"}
STACKS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], list[str]]] = [
    (NONE, {}, {}, ["Attempt"]),
    ({}, {}, {}, ["Reads", "Retry", "Attempt"]),
    (NONE | {"hedge": {}}, {}, {}, ["Hedge", "Attempt"]),
    ({"hedge": {}}, {}, {}, ["Reads", "Retry", "Hedge", "Attempt"]),
    (NONE, {"admission": {"max_in_flight": 1}}, {}, ["Admission", "Attempt"]),
    (NONE, CREDENTIALS, {}, ["Credentials", "Attempt"]),
    (NONE, KEYS, {}, ["Keys", "Attempt"]),
    ({"hedge": {}}, KEYS, {}, ["Reads", "Retry", "Hedge", "Keys", "Attempt"]),
    (NONE | {"limits": {"concurrency": 1}}, {}, {}, ["Limits", "Attempt"]),
    (NONE | {"limits": {"client": {"concurrency": 1}}}, {}, {}, ["Limits", "Attempt"]),
    (NONE, {}, {"model": "m"}, ["Target", "Attempt"]),
    (NONE, {}, {"split": [V | {"share": "1%"}]}, ["Split", "Target", "Attempt"]),
    (NONE, {}, {"fallback": [V]}, ["Fallback", "Target", "Attempt"]),
    (NONE, {}, {"mirror": V}, ["Mirror", "Attempt"]),
    (
        {"hedge": {}, "limits": {"concurrency": 1}},
        {"admission": {"max_in_flight": 1}, **CREDENTIALS},
        {"mirror": V, "split": [V | {"share": "1%"}], "fallback": [V]},
        [
            "Limits", "Mirror", "Fallback", "Split", "Target",
            "Credentials", "Reads", "Admission", "Retry", "Hedge", "Attempt",
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "upstream", "route", "expected"), STACKS)
async def test_a_stack(
    policy: dict[str, Any], upstream: dict[str, Any], route: dict[str, Any], expected: list[str]
) -> None:
    assert names(stack(snapshot(policy, upstream, route))) == expected


async def test_a_trusted_caller_may_ask_for_retries_that_the_policy_has_not() -> None:
    trusted = {"trust": {"headers": True}}
    assert names(stack(snapshot(NONE, {}, {}, trusted))) == ["Retry", "Attempt"]


async def test_other_upstreams_have_their_own_policy_and_credentials() -> None:
    route = {"split": [V | {"share": "1%"}], "fallback": [V]}
    outer = stack(snapshot({}, {}, route))
    assert isinstance(outer, Fallback)
    assert isinstance(outer._first, Split)
    canary = outer._first._targets[1]
    for other in (canary, outer.others[0]):
        assert names(other) == ["Target", "Credentials", "Attempt"]


def panics(layer: Any) -> bool:
    """Whether the attempts inside *layer* go to an upstream all of whose endpoints are out."""
    while not isinstance(layer, Attempt):
        layer = layer._inner
    return layer._balancer.selection.ejection.panic


async def test_panic_is_for_calls_that_have_nowhere_else_to_go() -> None:
    route = {"fallback": [V, {"upstream": "u", "model": "m"}], "split": [V | {"share": "1%"}]}
    outer = stack(snapshot({}, {}, route))
    assert isinstance(outer, Fallback)
    assert isinstance(outer._first, Split)
    assert [panics(each) for each in outer._first._targets] == [False, False]
    assert [panics(each) for each in outer.others] == [False, True]
    assert panics(stack(snapshot({}, {}, {})))
    refuses = {"ejection": {"panic": False}}
    assert not panics(stack(snapshot(refuses, {}, {})))


async def test_a_mirror_is_tried_once() -> None:
    """Its failures matter to nobody, so there is nothing to try again."""
    route = {"mirror": {"upstream": "u"}}
    outer = stack(snapshot({}, {"admission": {"max_in_flight": 1}}, route))
    assert isinstance(outer, Mirror)
    assert isinstance(outer.target, Target)
    assert names(outer.target) == ["Target", "Attempt"]


async def test_what_a_stack_has_counted_outlives_it() -> None:
    policy = {"hedge": {}, "limits": {"concurrency": 2, "client": {"concurrency": 1}}}
    upstream = {"admission": {"max_in_flight": 1}}
    shared = SharedState()
    before, after = (stack(snapshot(policy, upstream, {}, shared=shared)) for _ in range(2))
    for layer, kept in [
        (0, "_whole"), (0, "_clients"), (2, "_policy"), (3, "_budget"), (4, "_budget"),
        (4, "_observed"),
    ]:  # fmt: skip
        assert getattr(_at(before, layer), kept) is getattr(_at(after, layer), kept)


def _at(layer: Any, depth: int) -> Any:
    return layer if depth == 0 else _at(layer._inner, depth - 1)


async def test_routes_that_allow_an_upstream_the_same_share_its_budget() -> None:
    config = {
        "listeners": [{"address": "127.0.0.1:1"}],
        "upstreams": {"u": {"endpoints": [{"url": "http://u"}]}},
        "routes": [
            {"name": "a", "match": {"path": "/a"}, "upstream": "u"},
            {"name": "b", "match": {"path": "/b"}, "upstream": "u"},
            {"name": "c", "upstream": "u", "policy": {"retry": {"budget": {"ratio": "1%"}}}},
        ],
    }
    loaded, stats = load(json.dumps(config), file="x"), Stats(0.0)
    made = compile_snapshot(loaded, bound(loaded, stats), stats, SharedState().begin())
    a, b, c = [_at(rule.route.stack, 1)._budget for rule in made.router.rules]
    assert a is b
    assert c is not a


async def test_another_policy_makes_another_stack_once() -> None:
    made = snapshot({}, {}, {})
    route = made.router.rules[0].route
    assert route.under("nobody") is None
    under = route.under("v")
    assert under is not None
    assert names(under.stack) == ["Attempt"]
    assert route.under("v") is under


def test_limits_on_tokens_and_paces_are_not_imported_where_nobody_has_them() -> None:
    program = "import sys, sidecar.run; print([name for name in sys.modules if name in {!r}])"
    rare = ("sidecar.proxy.layers.tokens", "sidecar.proxy.layers.pace", "sidecar.policy.pace")
    found = subprocess.run(
        [sys.executable, "-c", program.format(rare)], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"
