"""A name by itself, with a resolver that the test is."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from sidecar.errors import AttemptError, ConnectFailed, LocalFailure
from sidecar.upstream.connect import name as resolve
from sidecar.upstream.connect.name import Name
from tests.sockets.peers import until
from tests.upstream.names import Names, turns

HOUR = 3600.0
SOON = 0.001
SILENCE = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


class Watched:
    """A name, and what its owner is told of it."""

    def __init__(self, refresh: float = HOUR, host: str = "a", **answers: list[str]) -> None:
        self.names = Names(**answers)
        self.changes: list[set[str]] = []
        self.name = Name(host, 80, refresh, self.names.find, on_change=self._changed)

    def _changed(self) -> None:
        self.changes.append(set(self.name.addresses))

    async def failure(self) -> AttemptError:
        with pytest.raises(AttemptError) as caught:
            await self.name.get()
        return caught.value


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is asked again at once."""
    for wait in ("_CONFIRM", "_UNANSWERED", "_NEGATIVE"):
        monkeypatch.setattr(resolve, wait, SOON)


async def test_an_answer_is_kept_for_a_while() -> None:
    it = Watched(a=["10.0.0.1", "10.0.0.2"])
    assert [info[4] for info in await it.name.get()] == [("10.0.0.1", 80), ("10.0.0.2", 80)]
    await it.name.get()
    assert it.names.asked == 1
    assert it.changes == [{"10.0.0.1", "10.0.0.2"}]


async def test_those_who_ask_at_once_ask_once() -> None:
    it = Watched(a=["10.0.0.1"])
    it.names.gate.clear()
    asking = [asyncio.create_task(it.name.get()) for _ in range(5)]
    await turns()
    asking[0].cancel()  # who leaves does not take the answer along
    await turns()
    it.names.gate.set()
    assert [len(found) for found in await asyncio.gather(*asking[1:])] == [1] * 4
    assert it.names.asked == 1


async def test_a_change_is_seen_without_anybody_asking() -> None:
    it = Watched(SOON, a=["10.0.0.1"])
    await it.name.get()
    it.names.answers["a"] = ["10.0.0.2"]
    await until(lambda: it.name.addresses == {"10.0.0.2"})
    assert it.changes == [{"10.0.0.1"}, {"10.0.0.2"}]


async def test_no_call_waits_while_an_answer_is_refreshed() -> None:
    it = Watched(SOON, a=["10.0.0.1"])
    await it.name.get()
    it.names.gate.clear()
    await it.names.asks_again()
    found = it.name.get()
    with pytest.raises(StopIteration) as caught:  # it is there without one step of the loop
        found.send(None)
    assert len(caught.value.value) == 1
    it.names.gate.set()


@pytest.mark.usefixtures("soon")
async def test_the_last_good_answer_holds_while_the_resolver_fails() -> None:
    it = Watched(SOON, a=["10.0.0.1"])
    await it.name.get()
    it.names.error = SILENCE
    for _ in range(5):
        await it.names.asks_again()
    assert len(await it.name.get()) == 1
    assert it.changes == [{"10.0.0.1"}]


@pytest.mark.usefixtures("soon")
async def test_it_does_not_hold_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    it = Watched(SOON, a=["10.0.0.1"])
    await it.name.get()
    it.names.error = SILENCE
    monkeypatch.setattr(it.name, "_max_stale", 0.0)
    await until(lambda: not it.name.found)
    assert it.changes == [{"10.0.0.1"}, set()]
    assert (await it.failure()).code == "resolver_failed"
    it.names.error = None
    await until(lambda: it.name.found)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_NODATA])
async def test_that_there_is_no_such_name_is_taken_the_second_time(code: int) -> None:
    it = Watched(HOUR, a=["10.0.0.1"])
    await it.name.get()
    it.names.error = socket.gaierror(code, "no")
    it.names.gate.clear()
    it.name._answered -= HOUR
    it.name.ask_soon()
    await it.names.answers_one()
    assert it.name.addresses == {"10.0.0.1"}  # the first time it may be a mistake
    await it.names.answers_one()
    assert not it.name.found
    assert it.changes == [{"10.0.0.1"}, set()]
    failure = await it.failure()
    assert (failure.code, failure.endpoint_failed) == ("resolve_failed", True)


@pytest.mark.usefixtures("soon")
async def test_only_twice_in_a_row_counts() -> None:
    it = Watched(SOON, a=["10.0.0.1"])
    await it.name.get()
    it.names.gate.clear()
    for _ in range(5):
        it.names.answers.clear()
        await it.names.answers_one()
        it.names.answers["a"] = ["10.0.0.1"]
        await it.names.answers_one()
    assert it.changes == [{"10.0.0.1"}]


async def test_that_there_is_no_such_name_is_remembered_for_a_while() -> None:
    it = Watched()
    assert (await it.failure()).code == "resolve_failed"
    it.names.answers["a"] = ["10.0.0.1"]
    for _ in range(3):
        assert isinstance(await it.failure(), ConnectFailed)
    assert it.names.asked == 1


@pytest.mark.usefixtures("soon")
async def test_an_unknown_name_is_asked_for_until_it_is_known() -> None:
    it = Watched()
    await it.failure()
    it.names.answers["a"] = ["10.0.0.1"]
    await until(lambda: it.name.found)
    assert it.changes == [{"10.0.0.1"}]


async def test_a_resolver_that_fails_is_no_failure_of_the_endpoints() -> None:
    it = Watched()
    it.names.error = SILENCE
    failure = await it.failure()
    assert isinstance(failure, LocalFailure)
    assert (failure.code, failure.endpoint_failed) == ("resolver_failed", False)
    assert "Temporary failure" in failure.message


async def test_a_resolver_that_is_silent_holds_up_the_first_calls_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resolve, "SILENT", 0.02)
    it = Watched()
    it.names.gate.clear()
    assert (await it.failure()).code == "resolver_failed"
    it.name._began -= 1  # timers may fire a moment early
    late = it.name.get()
    with pytest.raises(LocalFailure):
        late.send(None)  # at once
    assert it.names.asked == 1
    it.names.answers["a"] = ["10.0.0.1"]
    it.names.gate.set()
    await until(lambda: it.name.found)  # whenever it answers


async def test_an_address_that_did_not_work_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    it = Watched(a=["10.0.0.1"])
    await it.name.get()
    it.name.ask_soon()
    await turns()
    assert it.names.asked == 1  # the answer is fresh
    monkeypatch.setattr(resolve, "_CONFIRM", 0.0)
    it.names.answers["a"] = ["10.0.0.2"]
    it.name.ask_soon()
    await turns()
    assert it.name.addresses == {"10.0.0.2"}


async def test_what_was_stopped_is_asked_for_by_nobody_else() -> None:
    it = Watched(SOON, a=["10.0.0.1"])
    await it.name.get()
    it.name.stop()
    asked = it.names.asked
    await asyncio.sleep(SOON * 20)
    await turns()
    assert it.names.asked <= asked + 1
    assert it.name._timer is None
    assert len(await it.name.get()) == 1


async def test_what_was_stopped_while_it_was_asked_for() -> None:
    it = Watched(SOON, a=["10.0.0.1"])
    it.names.gate.clear()
    asking = asyncio.create_task(it.name.get())
    await turns()
    it.name.stop()
    it.names.gate.set()
    assert len(await asking) == 1  # a call that began before
    assert it.name._timer is None
    assert not it.changes


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_address_is_never_asked_for(host: str) -> None:
    it = Watched(host=host)
    assert it.name.fixed
    assert it.name.addresses == {host}
    it.name.ask()
    it.name.ask_soon()
    assert len(await it.name.get()) == 1
    assert not it.names.asked


@pytest.mark.parametrize("host", ["x" * 64 + ".com", "a..b"])
async def test_a_name_that_cannot_be(host: str) -> None:
    async def find(name: str) -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, socket.getaddrinfo, name, 0)

    with pytest.raises(ConnectFailed):
        await Name(host, 80, HOUR, find).get()
