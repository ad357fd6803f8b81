"""The rounds in which sidecars tell each other what they have used, however the store behaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from sidecar.observe.store_stats import ExchangeStats
from sidecar.store import exchange as module
from sidecar.store.base import Run, StoreError, script
from sidecar.store.exchange import Exchange, Question
from tests.sockets.peers import until

SCRIPT = script("return 1")


class Fake:
    """A store that answers rounds as a test says."""

    def __init__(self) -> None:
        self.rounds: list[list[Run]] = []
        self.gate: asyncio.Future[None] | None = None
        """Nothing is answered before it is done."""
        self.error: Exception | None = None
        self.life = b"life 1"
        self.peers = 2
        self.closed = False

    async def run(self, runs: Sequence[Run]) -> list[Any]:
        self.rounds.append(list(runs))
        number = len(self.rounds)
        if self.gate is not None:
            await asyncio.shield(self.gate)
        if self.error is not None:
            raise self.error
        return [[b"1000", b"500000", self.peers, self.life], *[number] * (len(runs) - 1)]

    async def close(self) -> None:
        self.closed = True

    def holds(self) -> Callable[[], None]:
        """Answer nothing until what is returned is called."""
        gate = self.gate = asyncio.get_running_loop().create_future()

        def opens() -> None:
            gate.set_result(None)
            self.gate = None

        return opens


class Asks:
    """A party with one question."""

    def __init__(self) -> None:
        self.replies: list[Any] = []
        self.losses = 0
        self.ends = 0
        self.wrong: Exception | None = None

    def questions(self) -> list[Question]:
        if self.wrong is not None:
            raise self.wrong
        return [Question(Run(SCRIPT, "k", (1,)), self.replies.append)]

    def lost(self) -> None:
        self.losses += 1

    def ended(self) -> None:
        self.ends += 1


def sharing() -> tuple[Fake, Exchange, Asks]:
    fake, asks = Fake(), Asks()
    exchange = Exchange(fake, "p", b"s", ExchangeStats())
    exchange.join(asks)
    return fake, exchange, asks


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer is never late on a busy machine."""
    monkeypatch.setattr(module, "WAIT", 10.0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds follow at once."""
    monkeypatch.setattr(module, "EVERY", 0.005)


@pytest.mark.usefixtures("quick")
async def test_rounds_follow_each_other() -> None:
    fake, exchange, asks = sharing()
    exchange.start()
    await until(lambda: len(asks.replies) >= 3)
    assert asks.replies[:3] == [1, 2, 3]
    assert exchange.answers
    assert exchange.peers == exchange.stats.peers == 2
    assert exchange.now() < 1e6  # the store's clock, which is long ago
    await exchange.retire()
    assert fake.closed
    count = len(fake.rounds)
    await asyncio.sleep(0.02)
    assert len(fake.rounds) == count


@pytest.mark.usefixtures("patient")
async def test_a_call_waits_for_a_round_that_begins_after_it() -> None:
    fake, exchange, asks = sharing()
    exchange.start()
    await until(lambda: asks.replies == [1])
    opens = fake.holds()
    exchange.ask()
    await until(lambda: len(fake.rounds) == 2)
    waiting = [asyncio.ensure_future(exchange.soon()) for _ in range(3)]
    await asyncio.sleep(0)
    opens()
    await asyncio.gather(*waiting)
    assert asks.replies == [1, 2, 3]  # all in the same one
    await exchange.retire()


async def test_calls_do_not_wait_for_a_store_that_is_slow() -> None:
    fake, exchange, asks = sharing()
    exchange.start()
    await until(lambda: asks.replies)
    opens = fake.holds()
    await exchange.soon()
    assert exchange.stats.results["late"] == 1
    for _ in range(100):  # one has seen that it takes too long
        await exchange.soon()
    assert exchange.stats.results["late"] == 1
    assert exchange.answers  # it is only late
    opens()
    await until(lambda: len(asks.replies) == 2)
    await exchange.soon()
    assert len(asks.replies) == 3 or exchange.stats.results["late"] == 2
    await exchange.retire()


@pytest.mark.usefixtures("quick")
async def test_a_store_that_fails_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "sidecar.store")
    fake, exchange, asks = sharing()
    exchange.start()
    await until(lambda: asks.replies)
    fake.error = StoreError("gone")
    await until(lambda: exchange.stats.results["failed"] > 2)
    assert exchange.stats.alone
    assert not exchange.answers
    assert exchange.peers == 2  # those of before
    await exchange.soon()
    assert exchange.stats.results["late"] == 0
    assert exchange.stats.shown()["last_error"] == "gone"
    fake.error = None
    await until(lambda: exchange.stats.shown()["available"])
    assert [record.message[:29] for record in caplog.records] == [
        "the shared store does not ans",
        "the shared store answers agai",
    ]
    await exchange.retire()


@pytest.mark.usefixtures("quick")
async def test_what_the_store_has_lost_is_told_again() -> None:
    fake, exchange, asks = sharing()
    exchange.start()
    await until(lambda: len(asks.replies) > 2)
    assert asks.losses == 0
    fake.life = b"life 2"
    await until(lambda: asks.losses)
    count = len(asks.replies)
    await until(lambda: len(asks.replies) > count + 2)
    assert asks.losses == 1
    await exchange.retire()


@pytest.mark.usefixtures("quick")
async def test_a_bug_in_what_is_shared_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    _, exchange, asks = sharing()
    asks.wrong = ValueError("a bug")
    exchange.start()
    await until(lambda: exchange.stats.results["failed"])
    asks.wrong = None
    await until(lambda: asks.replies)
    assert "internal error" in caplog.text
    await exchange.retire()


async def test_who_leaves_takes_part_once_more() -> None:
    fake, exchange, asks = sharing()
    exchange.start()
    await until(lambda: asks.replies)
    exchange.leave(asks)
    await until(lambda: len(asks.replies) == 2)
    exchange.ask()
    await until(lambda: len(fake.rounds) == 3)
    assert len(fake.rounds[-1]) == 1
    await exchange.retire()
    assert len(asks.replies) == 2


async def test_the_last_round_tells_what_is_left() -> None:
    fake, exchange, asks = sharing()
    exchange.start()
    await until(lambda: asks.replies)
    exchange.leave(asks)
    await exchange.retire()
    assert len(asks.replies) == 2
    assert fake.rounds[-1][0].script != fake.rounds[0][0].script  # says that it goes


async def test_the_end_does_not_wait_for_a_store_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_LAST", 0.01)
    fake, exchange, _ = sharing()
    fake.holds()
    exchange.start()
    await until(lambda: fake.rounds)
    await exchange.retire()
    assert fake.closed


def test_names_can_not_be_read_from_keys() -> None:
    one, other = (Exchange(Fake(), "p", secret, ExchangeStats()) for secret in (b"s", b"t"))
    keys = {one.key("limit", "a", "bc"), one.key("limit", "ab", "c"), one.key("spent", "a", "bc")}
    keys.add(other.key("limit", "a", "bc"))
    assert len(keys) == 4
    for key in keys:
        assert key.startswith("p/1/")
        assert ":" not in key  # what begins with `p:` is purged with the cache
    assert one.key("limit", "a", "bc") == one.key("limit", "a", "bc")
