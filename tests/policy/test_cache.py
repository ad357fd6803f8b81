"""How long replies live, and what may be done with them then."""

from __future__ import annotations

import random
from math import inf

import pytest

from sidecar.policy.cache import Asked, CacheSettings, allowed, asked, state

TEN = CacheSettings(10.0)
STALE = CacheSettings(10.0, while_revalidate=5.0, if_error=20.0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, Asked()),
        (b"", Asked()),
        (b"no-store", Asked(no_store=True)),
        (b"No-Cache , max-age=5", Asked(no_cache=True, max_age=5.0)),
        (b'only-if-cached, max-age="7"', Asked(only_if_cached=True, max_age=7.0)),
        (b"max-age=x", Asked(max_age=0.0)),
        (b"max-age=-1", Asked(max_age=0.0)),
        (b"min-fresh=3, max-stale=9", Asked(min_fresh=3.0)),
        (b"max-age=999999999999", Asked(max_age=0.0)),
    ],
)
def test_what_a_caller_asks(value: bytes | None, expected: Asked) -> None:
    assert asked(value) == expected


@pytest.mark.parametrize(
    ("value", "shared", "stream", "seconds"),
    [
        (None, True, True, inf),
        (b"public", True, False, inf),
        (b"no-store", False, True, 0.0),
        (b"private", False, False, inf),
        (b"private", True, False, 0.0),
        (b"no-cache", False, False, 0.0),
        (b"no-cache", False, True, inf),
        (b"no-cache, max-age=0", False, True, inf),
        (b"max-age=60", False, False, 60.0),
        (b"max-age=60, s-maxage=5", False, False, 60.0),
        (b"max-age=60, s-maxage=5", True, False, 5.0),
        (b"max-age=?", False, False, 0.0),
    ],
)
def test_what_an_upstream_allows(
    value: bytes | None, shared: bool, stream: bool, seconds: float
) -> None:
    assert allowed(value, shared=shared, stream=stream) == seconds


@pytest.mark.parametrize(
    ("age", "settings", "wants", "expected"),
    [
        (0.0, TEN, Asked(), "fresh"),
        (-5.0, TEN, Asked(), "fresh"),  # the clock went back
        (9.9, TEN, Asked(), "fresh"),
        (10.0, TEN, Asked(), "dead"),
        (10.0, STALE, Asked(), "stale"),
        (14.9, STALE, Asked(), "stale"),
        (15.0, STALE, Asked(), "spare"),
        (29.9, STALE, Asked(), "spare"),
        (30.0, STALE, Asked(), "dead"),
        (5.0, STALE, Asked(max_age=5.0), "fresh"),
        (5.1, STALE, Asked(max_age=5.0), "spare"),
        (8.0, STALE, Asked(min_fresh=2.0), "spare"),
        (7.9, STALE, Asked(min_fresh=2.0), "fresh"),
        (1.0, STALE, Asked(no_cache=True), "dead"),
    ],
)
def test_what_a_reply_may_do(
    age: float, settings: CacheSettings, wants: Asked, expected: str
) -> None:
    assert state(age, 10.0, settings, wants, 200) == expected


def test_an_error_is_never_stale() -> None:
    assert state(9.0, 10.0, STALE, Asked(), 404) == "fresh"
    assert state(10.0, 10.0, STALE, Asked(), 404) == "dead"


def test_an_error_lives_shorter_and_the_upstream_shortens_a_life() -> None:
    settings = CacheSettings(100.0, negative=5.0)
    assert settings.life(200, inf, 0.5) == 100.0
    assert settings.life(404, inf, 0.5) == 5.0
    assert settings.life(200, 60.0, 0.5) == 60.0
    assert settings._replace(jitter=0.2).life(200, inf, 1.0) == 80.0


def test_replies_that_came_together_do_not_go_together() -> None:
    """Chi-square over the last tenth of ten thousand lives: they are spread evenly."""
    settings = CacheSettings(300.0, jitter=0.1)
    source = random.Random(7)
    lives = [settings.life(200, inf, source.random()) for _ in range(10_000)]
    assert 270.0 <= min(lives) <= max(lives) <= 300.0
    slots = [0] * 50
    for life in lives:
        slots[min(49, int((life - 270.0) / 30.0 * 50))] += 1
    expected = len(lives) / 50
    statistic = sum((count - expected) ** 2 / expected for count in slots)
    assert statistic < 85.4  # 49 degrees of freedom: one in a thousand is above it
