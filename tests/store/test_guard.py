"""However the store behaves, calls go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from sidecar.observe.store_stats import StoreStats
from sidecar.store import guard as module
from sidecar.store.base import StoreError
from sidecar.store.guard import Guard
from tests.sockets.peers import until


class Fake:
    """A store that does what a test says."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.locks: dict[str, bytes] = {}
        self.gate: asyncio.Future[None] | None = None
        """Nothing is answered before it is done."""
        self.error: Exception | None = None
        self.asked = 0
        self.closed = False

    async def _answers(self) -> None:
        self.asked += 1
        if self.gate is not None:
            await asyncio.shield(self.gate)
        if self.error is not None:
            raise self.error

    def holds(self) -> Callable[[], None]:
        """Answer nothing until what is returned is called."""
        gate = self.gate = asyncio.get_running_loop().create_future()

        def opens() -> None:
            gate.set_result(None)
            self.gate = None

        return opens

    async def get(self, key: str) -> bytes | None:
        await self._answers()
        return self.values.get(key)

    async def put(self, key: str, value: bytes, seconds: float) -> None:
        await self._answers()
        self.values[key] = value

    async def lock(self, key: str, token: bytes, seconds: float) -> bool:
        await self._answers()
        return self.locks.setdefault(key, token) == token

    async def unlock(self, key: str, token: bytes) -> None:
        await self._answers()
        if self.locks.get(key) == token:
            del self.locks[key]

    async def purge(self, pattern: str) -> int:
        await self._answers()
        return len(self.values)

    async def ping(self) -> None:
        await self._answers()

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer is never late on a busy machine."""
    monkeypatch.setattr(module, "WAIT", 10.0)


def guarded() -> tuple[Fake, Guard, StoreStats]:
    fake, stats = Fake(), StoreStats()
    return fake, Guard(fake, stats), stats


@pytest.mark.usefixtures("patient")
async def test_it_passes_questions_on() -> None:
    fake, guard, stats = guarded()
    guard.put("a", b"x", 1.0)
    await until(lambda: fake.values)
    assert await guard.get("a") == b"x"
    assert await guard.get("b") is None
    token = await guard.lock("l", 1.0)
    assert isinstance(token, bytes)
    assert await guard.lock("l", 1.0) == "held"
    guard.unlock("l", token)
    await until(lambda: not fake.locks)
    token = await guard.lock("l", 1.0)
    assert isinstance(token, bytes)
    guard.put_and_unlock("b", b"y", 1.0, "l", token)
    await until(lambda: fake.values.get("b") == b"y" and not fake.locks)
    assert stats.results == {"hit": 1, "miss": 1}


async def test_a_late_answer_is_dropped() -> None:
    fake, guard, stats = guarded()
    fake.values["a"] = b"x"
    opens = fake.holds()
    assert await guard.get("a") is None
    assert stats.results["late"] == 1
    opens()
    guard.retire()
    await until(lambda: fake.closed)


async def test_a_lock_that_was_taken_too_late_is_given_back() -> None:
    fake, guard, _ = guarded()
    opens = fake.holds()
    assert await guard.lock("l", 60.0) == "unknown"
    opens()
    await until(lambda: fake.asked == 2)  # the lock, and what gives it back
    await until(lambda: not fake.locks)


@pytest.mark.usefixtures("patient")
async def test_an_error_is_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    fake, guard, stats = guarded()
    fake.error = StoreError("away")
    assert await guard.get("a") is None
    assert await guard.lock("l", 1.0) == "unknown"
    guard.put("a", b"x", 1.0)
    await until(lambda: stats.results["error"] == 3)
    assert stats.last_error == "away"
    assert not caplog.records


async def test_a_store_that_fails_is_not_asked(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(module, "WAIT", 10.0)
    fake, guard, stats = guarded()
    fake.error = StoreError("away")
    for _ in range(20):
        assert await guard.get("a") is None
    assert [guard.available] == [False]
    asked = fake.asked
    for _ in range(10):
        assert await guard.get("a") is None
        guard.put("a", b"x", 1.0)
    assert fake.asked == asked
    assert stats.results["refused"] == 20
    assert stats.state == "open"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    # When its time is over, it is tried beside a few calls, and asked again.
    fake.values["a"] = b"x"
    for error in (fake.error, None):
        fake.error = error
        guard._circuit.until = 0.0
        for _ in range(3):
            assert await guard.get("a") is None
        await until(lambda: not guard._asked)
    assert [guard.available] == [True]
    assert await guard.get("a") == b"x"
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


@pytest.mark.parametrize("slow", [1, 5])
async def test_a_store_that_must_connect_first_is_tried_more_than_once(
    slow: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ANSWERS", 0.2)
    fake, guard, stats = guarded()
    fake.error = StoreError("away")
    while guard.available:
        await guard.get("a")
    fake.error = None
    left = iter([True] * 3 * slow)

    async def ping() -> None:
        if next(left, False):
            await asyncio.sleep(0.25)

    monkeypatch.setattr(fake, "ping", ping)
    guard._circuit.until = 0.0
    for _ in range(3):
        await guard.get("a")
    await until(lambda: not guard._asked)
    assert stats.state == ("closed" if slow == 1 else "open")


async def test_no_more_is_asked_at_once_than_it_may_be() -> None:
    fake, guard, stats = guarded()
    opens = fake.holds()
    asked = [asyncio.create_task(guard.get("a")) for _ in range(40)]
    for _ in range(200):
        guard.put("a", b"x", 1.0)
    await asyncio.gather(*asked)
    assert fake.asked <= module.CONNECTIONS
    assert stats.results["busy"] >= 200 - 64
    opens()
    guard.retire()
    await until(lambda: fake.closed)


async def test_a_bug_is_told(caplog: pytest.LogCaptureFixture) -> None:
    fake, guard, stats = guarded()
    fake.error = ZeroDivisionError("a bug")
    guard.put("a", b"x", 1.0)
    await until(lambda: stats.results["error"])
    assert [record.levelname for record in caplog.records] == ["ERROR"]
