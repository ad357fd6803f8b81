"""The merge of policies, against a plain model: one setting at a time, by its full path."""

from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.load import Loaded, load
from sidecar.config.model import Balance, Policy
from sidecar.config.read.decode import convert

Tree = dict[str, Any]

HEAD: Tree = {
    "listeners": [{"path": "/s"}],
    "upstreams": {"u": {"endpoints": [{"url": "http://u"}]}},
    "routes": [{"upstream": "u"}],
}


def loaded(
    default: Tree | None = None, upstream: object = None, route: object = None, **policies: Tree
) -> Loaded:
    tree: Any = msgspec.json.decode(msgspec.json.encode(HEAD))
    tree["policies"] = policies | ({} if default is None else {"default": default})
    if upstream is not None:
        tree["upstreams"]["u"]["policy"] = upstream
    if route is not None:
        tree["routes"][0]["policy"] = route
    return load(yaml.safe_dump(tree), file="")


def policy(*layers: object, **policies: Tree) -> Policy:
    return loaded(*layers, **policies).effective[0, "u"].policy  # type: ignore[arg-type]


durations = st.sampled_from(["1s", "2s", "30s"])
shares = st.sampled_from(["10%", "20%", "90%"])


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Tree]:
    return st.fixed_dictionaries({}, optional=fields)


budgets = optional(ratio=shares, min_per_second=st.integers(0, 9), window=durations)
trees = optional(
    timeouts=optional(connect=durations, first_byte=durations, total=st.none() | durations),
    hold=st.sampled_from(["0B", "1KiB"]),
    retry=optional(
        max=st.integers(0, 10),
        on=st.lists(st.sampled_from(["reset", "429", "5xx"]), max_size=2),
        backoff=optional(base=st.just("10ms"), cap=durations),
        budget=budgets,
    ),
    hedge=st.none() | optional(after=st.none() | durations, quantile=shares, budget=budgets),
    breaker=st.none()
    | optional(failure_rate=shares, min_calls=st.integers(1, 9), trials=st.integers(1, 9)),
    ejection=optional(max_ejected=st.none() | shares, panic=st.booleans()),
    priority=st.sampled_from(["high", "normal", "low"]),
    balance=st.none()
    | st.sampled_from(["dynamic", "prefix"])
    | optional(method=st.sampled_from(["least_conn", "prefix"]), slow_start=durations),
)


def model(*layers: Tree) -> Policy:
    """Each layer writes its leaves into one flat table; what it replaces loses its leaves there."""
    table: dict[tuple[str, ...], object] = {}
    for layer in layers:
        write(table, (), layer)
    tree: Tree = {}
    for path, value in sorted(table.items(), key=lambda item: len(item[0])):
        place = tree
        for step in path[:-1]:
            place = place.setdefault(step, {})
        if value == {}:
            place.setdefault(path[-1], {})
        else:
            place[path[-1]] = value
    return convert(tree, Policy)


def write(table: dict[tuple[str, ...], object], path: tuple[str, ...], value: object) -> None:
    if path == ("balance",) and isinstance(value, dict) and isinstance(table.get(path), str):
        table[*path, "method"] = table.pop(path)
    if isinstance(value, dict):
        if path:
            table.pop(path, None)
            table[path] = {}
        for key, item in value.items():
            write(table, (*path, key), item)
    else:
        for known in [known for known in table if known[: len(path)] == path]:
            del table[known]
        table[path] = value


@given(trees, trees, trees)
def test_each_setting_is_the_most_specific_one(default: Tree, upstream: Tree, route: Tree) -> None:
    wanted = model(default, upstream, route)
    assert policy(default, upstream, route) == wanted
    assert policy(default, "a", "b", a=upstream, b=route) == wanted


def test_nothing_given_is_the_defaults() -> None:
    result = loaded().effective[0, "u"]
    assert result.policy == Policy()
    assert result.breaker_scope == "default"


@pytest.mark.parametrize(
    ("layers", "retries"),
    [
        (({"retry": {"max": 1}},), 1),
        (({"retry": {"max": 1}}, None, "default"), 1),
        (({"retry": {"max": 1}}, "five"), 5),
        (({"retry": {"max": 1}}, "five", "default"), 5),
        (({"retry": {"max": 1}}, "five", "seven"), 7),
        (({"retry": {"max": 1}}, "five", {"retry": {"on": []}}), 5),
        (({"retry": {"max": 1}}, None, "other"), 1),
        ((None, {"retry": {"max": 4}}, "other"), 4),
    ],
)
def test_which_one_wins(layers: tuple[object, ...], retries: int) -> None:
    five, seven = {"retry": {"max": 5}}, {"retry": {"max": 7}}
    assert policy(*layers, five=five, seven=seven, other={}).retry.max == retries


def test_null_wins_and_a_mapping_over_it_begins_anew() -> None:
    default = {"breaker": {"trials": 9, "min_calls": 3}}
    assert policy(default, {"breaker": None}).breaker is None
    breaker = policy(default, {"breaker": None}, {"breaker": {"trials": 1}}).breaker
    assert breaker is not None
    assert (breaker.trials, breaker.min_calls) == (1, 10)


BALANCES = [
    ({}, None, {}, None),
    ({"balance": "dynamic"}, None, {}, "dynamic"),
    ({"balance": "dynamic"}, "prefix", {}, None),
    ({"balance": "dynamic"}, "prefix", {"balance": None}, None),
    ({"balance": "dynamic"}, "prefix", {"balance": "ip_hash"}, "ip_hash"),
    ({}, "prefix", {"balance": {"slow_start": "3s"}}, "prefix 3"),
    ({"balance": "dynamic"}, None, {"balance": {"slow_start": "3s"}}, "dynamic 3"),
]


@pytest.mark.parametrize(("default", "own", "route", "told"), BALANCES)
def test_an_upstreams_balance_stands_over_the_default(
    default: Tree, own: str | None, route: Tree, told: str | None
) -> None:
    upstream: Tree = {"endpoints": [{"url": "http://u"}]} | ({"balance": own} if own else {})
    tree = HEAD | {
        "upstreams": {"u": upstream},
        "policies": {"default": default},
        "routes": [{"upstream": "u", "policy": route}],
    }
    balance = load(yaml.safe_dump(tree), file="").effective[0, "u"].policy.balance
    if isinstance(balance, Balance):
        assert f"{balance.method} {balance.slow_start:g}" == told
    else:
        assert balance == told


SCOPES: list[tuple[Tree, object, object, str]] = [
    ({}, None, None, "default"),
    ({"breaker": {}}, None, None, "default"),
    ({"breaker": {}}, None, "a", "policy:a"),
    ({}, "a", None, "policy:a"),
    ({}, "a", "b", "policy:a"),
    ({}, {"breaker": {}}, None, "upstream:u"),
    ({}, {"breaker": {}}, {"retry": {}}, "upstream:u"),
    ({}, {"breaker": {}}, {"ejection": {}}, "route:0-u"),
    ({}, "a", {"breaker": None}, "route:0-u"),
    ({}, {"breaker": {}}, "a", "policy:a"),
    ({"breaker": {}}, "a", "default", "policy:a"),
]


@pytest.mark.parametrize(("default", "upstream", "route", "scope"), SCOPES)
def test_who_gave_the_breaker(default: Tree, upstream: object, route: object, scope: str) -> None:
    result = loaded(default, upstream, route, a={"ejection": {}}, b={"hold": "0B"})
    assert result.effective[0, "u"].breaker_scope == scope


def test_a_routes_own_name_is_its_scope() -> None:
    tree = HEAD | {"routes": [{"upstream": "u", "name": "mine", "policy": {"breaker": {}}}]}
    assert load(yaml.safe_dump(tree), file="").effective[0, "u"].breaker_scope == "route:mine"


def test_every_upstream_that_a_route_may_send_to_has_an_entry() -> None:
    names = ["u", "split", "fallback", "mirror", "unused"]
    tree = HEAD | {
        "upstreams": {
            name: {"endpoints": [{"url": f"http://{name}"}], "policy": {"retry": {"max": n}}}
            for n, name in enumerate(names)
        },
        "routes": [
            {"match": {"path": "/plain"}, "upstream": "u"},
            {
                "upstream": "u",
                "split": [{"upstream": "split", "share": "5%"}],
                "fallback": [{"upstream": "fallback"}, {"upstream": "u", "model": "m"}],
                "mirror": {"upstream": "mirror"},
            },
        ],
    }
    effective = load(yaml.safe_dump(tree), file="").effective
    assert {key: each.policy.retry.max for key, each in effective.items()} == {
        (0, "u"): 0, (1, "u"): 0, (1, "split"): 1, (1, "fallback"): 2, (1, "mirror"): 3,
    }  # fmt: skip


def test_a_call_may_ask_for_a_policy_instead_of_its_routes() -> None:
    result = loaded(
        {"hold": "1KiB"}, {"retry": {"max": 5}}, {"priority": "low"}, fast={"retry": {"on": []}}
    )
    asked = result.overlay.named("u", "fast")
    assert asked is not None
    assert (asked.policy.hold, asked.policy.retry.max, asked.policy.retry.on) == (1024, 5, ())
    assert asked.policy.priority == "normal"
    assert result.overlay.named("u", "fast") is asked
    plain = result.overlay.named("u", "default")
    assert plain is not None
    assert plain.policy.retry.max == 5
    assert result.overlay.named("u", "gone") is None
