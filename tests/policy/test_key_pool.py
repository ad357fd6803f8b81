"""Which of several keys an attempt uses: weights, cooldowns, refusals, and what brings one back."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.key_pool import (
    DAILY,
    LONGEST,
    LONGEST_UNNAMED,
    MOST_MODELS,
    UNNAMED,
    Key,
    KeyPool,
    KeySettings,
    ending,
)

M = "m"


def settings(name: str, quota: str | None = None, weight: int = 1) -> KeySettings:
    return KeySettings(name, f"Bearer sk-{name}-secret", {}, quota, weight)


def pool(*names: str, **weights: int) -> KeyPool:
    return KeyPool(
        [*(settings(name) for name in names), *(settings(n, None, w) for n, w in weights.items())]
    )


def chosen(keys: KeyPool, point: int = 1, now: float = 0.0, tried: Sequence[Key] = ()) -> str:
    key = keys.choose(point, M, now, tried)
    return "" if key is None else key.name


def first(keys: KeyPool, point: int = 1, now: float = 0.0) -> Key:
    key = keys.choose(point, M, now)
    assert key is not None
    return key


def test_shares_go_by_weight() -> None:
    """Chi-square with 3 degrees of freedom: 16.27 has a probability of 0.001 (seeded)."""
    weights = {"a": 1, "b": 2, "c": 3, "d": 10}
    keys, numbers, calls = pool(**weights), random.Random(5), 20_000
    counts = Counter(chosen(keys, numbers.getrandbits(64)) for _ in range(calls))
    expected = {name: calls * weight / 16 for name, weight in weights.items()}
    assert sum((counts[n] - e) ** 2 / e for n, e in expected.items()) < 16.27


def test_what_a_key_leaves_is_shared_by_weight_and_moves_no_other() -> None:
    keys, numbers = pool(a=1, b=2, c=3, d=10), random.Random(6)
    points = [numbers.getrandbits(64) for _ in range(20_000)]
    before = [chosen(keys, point) for point in points]
    keys.refuse(keys.keys[3], "401", 0.0)
    after = [chosen(keys, point) for point in points]
    assert all(b == a for b, a in zip(before, after, strict=True) if b != "d")
    counts = Counter(after)
    expected = {"a": len(points) / 6, "b": len(points) / 3, "c": len(points) / 2}
    assert sum((counts[n] - e) ** 2 / e for n, e in expected.items()) < 13.82  # 2 degrees


def test_a_limited_key_rests_for_that_model_only() -> None:
    keys = pool("a", "b")
    key = first(keys)
    keys.limited(key, M, 10.0, 0.0, 0.0)
    assert chosen(keys, now=9.9) != key.name == chosen(keys, now=10.0)
    other = keys.choose(1, "another", 1.0)
    assert other is key
    assert (key.state(1.0), key.state(11.0), key.cooldowns) == ("cooling", "in_use", 1)


def test_keys_of_one_quota_rest_together() -> None:
    keys = KeyPool([settings("a", "q"), settings("b", "q"), settings("c")])
    keys.limited(keys.keys[0], M, 10.0, 0.0, 0.0)
    assert {chosen(keys, point) for point in range(100)} == {"c"}
    assert chosen(keys, tried=keys.keys[2:]) == ""


@pytest.mark.parametrize(
    ("named", "rests"),
    [(0.0, UNNAMED), (3.0, 3.0), (DAILY, DAILY), (1e9, LONGEST), (None, UNNAMED)],
)
def test_how_long_a_limited_key_rests(named: float | None, rests: float) -> None:
    keys = pool("a", "b")
    assert keys.limited(keys.keys[0], M, named, 0.0, 0.0) == rests


def test_limits_without_a_time_rest_longer_each_time() -> None:
    keys, now, waits = pool("a", "b"), 0.0, []
    for _ in range(10):
        waits.append(keys.limited(keys.keys[0], M, None, now, now))
        now += waits[-1]
    assert waits == [min(UNNAMED * 2**n, LONGEST_UNNAMED) for n in range(10)]
    keys.worked(keys.keys[0], M, now)
    assert keys.limited(keys.keys[0], M, None, now, now) == UNNAMED


def test_many_calls_that_were_on_their_way_are_one_limit() -> None:
    keys = pool("a", "b")
    for n in range(100):
        keys.limited(keys.keys[0], M, None, -1.0, n / 1e4)
    assert keys.keys[0].limits[M].until == UNNAMED
    assert keys.keys[0].cooldowns == 1


def test_a_call_from_before_the_limit_does_not_end_it() -> None:
    keys = pool("a", "b")
    keys.limited(keys.keys[0], M, 10.0, 4.0, 5.0)
    keys.worked(keys.keys[0], M, 4.5)
    assert keys.keys[0].state(6.0) == "cooling"


def test_a_refused_key_leaves_until_it_is_restored() -> None:
    keys = pool("a", "b")
    key = first(keys)
    assert keys.refuse(key, "401 authentication", 1.0)
    assert not keys.refuse(key, "401 authentication", 2.0)
    assert chosen(keys, now=1e9) != key.name
    assert (key.state(1e9), key.refused) == ("refused", "401 authentication")
    assert (keys.restore("no such key"), keys.restore(key.name)) == (0, 1)
    assert chosen(keys) == key.name


def test_another_value_is_another_key_and_the_same_keeps_its_state() -> None:
    keys = pool("a", "b", "c")
    for key in keys.keys:
        keys.refuse(key, "401", 0.0)
        key.count("ok")
    renewed = settings("b")._replace(value="Bearer another")
    keys.configure([settings("a")._replace(name="renamed", weight=5), renewed])
    assert [(key.name, key.state(0.0)) for key in keys.keys] == [
        ("renamed", "refused"),
        ("b", "in_use"),
    ]
    assert keys.keys[0].settings.weight == 5
    assert keys.keys[1].calls == {"ok": 1}  # a counter of a name never goes back


def test_a_forbidden_model_leaves_the_key_for_others() -> None:
    keys = pool("a", "b")
    key = first(keys)
    assert keys.forbid(key, M, 0.0)
    assert not keys.forbid(key, M, 0.0)
    assert chosen(keys) != key.name
    assert keys.choose(1, "another", 0.0) is key
    assert key.state(0.0) == "restricted"


def test_with_none_in_use_the_one_that_is_next_is_tried_and_comes_back_if_it_works() -> None:
    keys = pool("a", "b", "c")
    a, b, c = keys.keys
    keys.refuse(b, "401", 1.0)
    keys.refuse(a, "402", 2.0)
    keys.limited(c, M, 50.0, 3.0, 3.0)
    assert chosen(keys, now=5.0) == "c"  # a limit ends by itself
    keys.refuse(c, "401", 6.0)
    assert chosen(keys, now=7.0) == "b"  # refused first
    assert not keys.worked(b, M, 0.5)  # an attempt from before it was refused
    assert keys.worked(b, M, 7.0)
    assert (b.state(7.0), chosen(keys, now=8.0)) == ("in_use", "b")


def test_another_attempt_of_a_call_gets_a_key_that_may_help_or_none() -> None:
    keys = pool("a", "b")
    key = first(keys)
    other = keys.choose(1, M, 0.0, [key])
    assert other is not None
    assert other is not key
    assert keys.choose(1, M, 0.0, [key, other]) is None
    keys.limited(other, M, 9.0, 0.0, 0.0)
    assert keys.choose(1, M, 0.0, [key]) is None


def test_the_first_of_all_candidates_is_the_one_that_is_chosen() -> None:
    keys, numbers = pool(a=1, b=2, c=3, d=10), random.Random(7)
    for _ in range(100):
        point = numbers.getrandbits(64)
        ranked = keys.candidates(point, M, 0.0, (), 60.0)
        assert len(ranked) == 4
        tried: list[Key] = []
        for key in ranked:
            assert keys.choose(point, M, 0.0, tried) is key
            tried.append(key)


def test_a_call_may_wait_for_a_key_that_cools_down_for_a_short_time() -> None:
    keys = pool("a", "b", "c", "d")
    a, b, c, d = keys.keys
    keys.limited(a, M, 50.0, 0.0, 0.0)
    keys.limited(b, M, 70.0, 0.0, 0.0)
    keys.refuse(c, "401", 0.0)
    assert set(keys.candidates(1, M, 0.0, (), 60.0)) == {a, d}
    assert set(keys.candidates(1, M, 0.0, (c,), 60.0)) == {d}  # another attempt does not wait
    keys.refuse(d, "402", 0.0)
    keys.refuse(a, "402", 0.0)
    assert list(keys.candidates(1, M, 0.0, (), 60.0)) == [b]  # the first attempt gets one


def test_however_many_models_callers_name_the_memory_is_bounded() -> None:
    keys = pool("a", "b")
    for n in range(3 * MOST_MODELS):
        keys.limited(keys.keys[0], f"m{n}", 9.0, 0.0, 0.0)
        keys.forbid(keys.keys[0], f"m{n}" + "x" * 10_000, 0.0)
    key = keys.keys[0]
    assert len(key.limits) == len(key.forbidden) == MOST_MODELS
    assert max(map(len, key.forbidden)) < 200


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Bearer sk-0123456789abcdef", "…cdef"),
        ("0123456789abcdef", "…cdef"),
        ("Bearer short", "…"),
        ("Bearer 0123456789abcde", "…"),
        ("", "…"),
    ],
)
def test_four_characters_of_a_long_key_are_shown(value: str, shown: str) -> None:
    assert ending(value) == shown


def test_no_repr_and_nothing_shown_has_the_key() -> None:
    keys = KeyPool([KeySettings("a", "Bearer sk-secret-0123456789", {b"x": b"sk-secret"})])
    key = keys.keys[0]
    for text in (repr(keys), repr(key), repr(key.settings), repr(keys.shown(0.0))):
        assert "secret" not in text
    assert keys.shown(0.0)[0]["ends"] == "…6789"


class Plain:
    """Sets of refused and forbidden keys, and the end of each limit."""

    quotas: Final = {"a": "q", "b": "q", "c": "c", "d": "d"}

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.forbidden: set[tuple[str, str]] = set()
        self.ends: dict[tuple[str, str], float] = {}

    def limited(self, key: str, model: str, until: float) -> None:
        at = self.quotas[key], model
        self.ends[at] = max(self.ends.get(at, 0.0), until)

    def worked(self, key: str, *models: str) -> None:
        self.refused.discard(key)
        for model in models:
            self.forbidden.discard((key, model))
            self.ends.pop((self.quotas[key], model), None)

    def free(self, model: str, now: float) -> set[str]:
        return {
            key
            for key, quota in self.quotas.items()
            if key not in self.refused
            and (key, model) not in self.forbidden
            and self.ends.get((quota, model), 0.0) <= now
        }


def happens(
    event: str, keys: KeyPool, key: Key, model: str, seconds: float | None, now: float, plain: Plain
) -> None:
    if event == "limited":
        plain.limited(key.name, model, now + keys.limited(key, model, seconds, now, now))
    elif event == "refuse":
        keys.refuse(key, "401", now)
        plain.refused.add(key.name)
    elif event == "forbid":
        keys.forbid(key, model, now)
        plain.forbidden.add((key.name, model))
    elif event == "worked":
        keys.worked(key, model, now)
        plain.worked(key.name, model)
    elif event == "restore":
        keys.restore(key.name)
        plain.worked(key.name, "m", "n")


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(("limited", "refuse", "forbid", "worked", "restore", "nothing")),
        st.integers(0, 3),
        st.sampled_from(("m", "n")),
        st.one_of(st.none(), st.floats(0.0, 100.0)),
        st.floats(0.01, 30.0),
    ),
    max_size=60,
)


@given(EVENTS, st.integers(0, 2**64 - 1))
def test_a_key_is_chosen_that_a_plain_model_has_in_use(
    events: list[tuple[str, int, str, float | None, float]], point: int
) -> None:
    keys = KeyPool([settings("a", "q"), settings("b", "q"), settings("c"), settings("d")])
    plain, now = Plain(), 0.0
    for event, index, model, seconds, passes in events:
        now += passes
        happens(event, keys, keys.keys[index], model, seconds, now, plain)
        found = keys.choose(point, model, now)
        assert found is not None
        free = plain.free(model, now)
        assert not free or found.name in free
        refused = {key.name for key in keys.keys if key.state(now) == "refused"}
        assert refused == plain.refused
