import asyncio

import pytest

from sidecar.errors import ConnectFailed
from sidecar.upstream.resolve import Name
from tests.upstream.names import Names, turns

HOUR = 3600.0


async def test_an_answer_is_kept_for_a_while() -> None:
    names, name = Names(a=["10.0.0.1", "10.0.0.2"]), Name("a", 80, HOUR)
    assert [info[4] for info in await name.get()] == [("10.0.0.1", 80), ("10.0.0.2", 80)]
    await name.get()
    assert names.asked == 1
    assert name.addresses == {"10.0.0.1", "10.0.0.2"}


async def test_those_who_ask_at_once_ask_once() -> None:
    names, name = Names(a=["10.0.0.1"]), Name("a", 80, 0)
    names.gate.clear()
    asking = [asyncio.create_task(name.get()) for _ in range(5)]
    await turns()
    names.gate.set()
    assert [len(found) for found in await asyncio.gather(*asking)] == [1] * 5
    assert names.asked == 1


async def test_who_leaves_does_not_take_the_answer_along() -> None:
    names, name = Names(a=["10.0.0.1"]), Name("a", 80, HOUR)
    names.gate.clear()
    first, second = asyncio.create_task(name.get()), asyncio.create_task(name.get())
    await turns()
    first.cancel()
    await turns()
    names.gate.set()
    assert len(await second) == 1


async def test_a_change_is_seen() -> None:
    names, name = Names(a=["10.0.0.1"]), Name("a", 80, 0)
    await name.get()
    names.answers["a"] = ["10.0.0.2"]
    await name.get()
    assert name.addresses == {"10.0.0.2"}


async def test_the_last_good_answer_holds_while_the_server_fails() -> None:
    names, name = Names(a=["10.0.0.1"]), Name("a", 80, 0)
    await name.get()
    names.answers.clear()
    assert len(await name.get()) == 1
    assert names.asked == 2


async def test_an_unknown_name() -> None:
    names, name = Names(), Name("a", 80, HOUR)
    with pytest.raises(ConnectFailed) as caught:
        await name.get()
    assert caught.value.code == "resolve_failed"
    names.answers["a"] = ["10.0.0.1"]
    assert len(await name.get()) == 1  # it is asked for again at once


@pytest.mark.parametrize("host", ["x" * 64 + ".com", "a..b"])
async def test_a_name_that_cannot_be(host: str) -> None:
    with pytest.raises(ConnectFailed):
        await Name(host, 80, HOUR).get()
