"""The script that finds one pace for all, in a real Redis."""

from __future__ import annotations

import json
import time
from random import Random

import pytest

from sidecar.observe.store_stats import ExchangeStats
from sidecar.policy.pace import Pace
from sidecar.policy.shared_pace import Report, Share, SharedPace
from sidecar.store.base import Run, script
from sidecar.store.exchange import Exchange
from sidecar.store.redis_store import RedisSettings, RedisStore
from sidecar.store.shared_paces import NUMBERS, PACES, SharedPaces
from tests.policy.pace_model import Paces
from tests.store.redis_server import RedisServer

AT = script(PACES.replace("redis.call('TIME')", "{ARGV[5], '0'}"))
"""The script, at a time of the test's choice."""


@pytest.mark.parametrize("seed", range(4))
async def test_it_does_what_the_model_does(redis: RedisServer, seed: int) -> None:
    store, choice, second = RedisStore(RedisSettings(redis.url)), Random(seed), 1_000_000
    model, numbers = Paces(float(second)), [0] * 4
    for _ in range(200):
        second += choice.choice((0, 1, 1, 3, 7, 4000 if choice.random() < 0.05 else 1))
        who = choice.randrange(4)
        numbers[who] += choice.random() > 0.1
        refused = choice.choice((0, 0, 0, 1, 2))
        report = Report(
            numbers[who], choice.uniform(0, 5), choice.uniform(0, 9), refused,
            choice.uniform(0, 3) if refused else 0.0, choice.choice((0.0, 0.0, 6.0)),
        )  # fmt: skip
        arguments = (f"m{who}", report.number, json.dumps(report._asdict()), NUMBERS, second)
        (reply,) = await store.run([Run(AT, "key", arguments)])
        level, rate, stop = json.loads(reply)
        expected = model.take(f"m{who}", report, float(second))
        told = Share(None if level < 0 else level, rate, stop)
        assert told == pytest.approx(expected)
    await store.close()


async def test_it_goes_by_the_clock_of_the_store(redis: RedisServer) -> None:
    store, runs = RedisStore(RedisSettings(redis.url)), []
    for member, number, refused in (("m", 1, 0), ("n", 1, 1), ("m", 2, 0)):
        report = Report(number, 4.0, 5.0, refused, 9.0 * refused, 0.0)
        arguments = (member, number, json.dumps(report._asdict()), NUMBERS)
        runs.append(Run(script(PACES), "key", arguments))
    before, refused, after = [json.loads(reply) for reply in await store.run(runs)]
    assert before == [-1, 0, 0]
    assert refused[:2] == [2, 4]  # half of the eight that went, for two
    assert 8 < after[2] <= 9
    assert 0 < redis.ask("TTL", "key") <= 3600
    await store.close()


def test_models_that_callers_make_up_are_few_questions() -> None:
    """However long the store does not answer."""
    store = RedisStore(RedisSettings("redis://127.0.0.1:1"))
    shared = SharedPaces(Exchange(store, "p", b"", ExchangeStats()), "q")
    paces: dict[str, Pace] = {}
    often: SharedPace | None = None
    for number in range(1000):
        for model in ("often", f"m{number}"):
            pace = paces.setdefault(model, Pace())
            part = shared.use(model, pace, lambda: None)
            pace.enter({"requests": 1.0}, time.monotonic())
            assert shared.use(model, pace, lambda: None) is part
        often = often or shared.use("often", paces["often"], lambda: None)
        if not number % 100:
            assert len(shared.questions()) <= 100
        assert shared.use("often", paces["often"], lambda: None) is often
