"""Look-ups in threads of their own, with a resolver that answers when the test says so."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from sidecar.upstream.connect.resolver import (
    AddrInfo,
    Lookups,
    ask_system,
    literal,
    says_no,
    with_port,
)
from tests.sockets.peers import until


def info(address: str, port: int = 0) -> AddrInfo:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))


class Resolver:
    """Blocks for the names in `hangs` until they are taken out of it."""

    def __init__(self) -> None:
        self.hangs: dict[str, threading.Event] = {}
        self.asked: list[str] = []

    def __call__(self, host: str) -> list[AddrInfo]:
        self.asked.append(host)
        if host in self.hangs:
            self.hangs[host].wait(60)
        if host.startswith("no"):
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [info("10.0.0.1")]

    def hang(self, *hosts: str) -> None:
        self.hangs |= {host: threading.Event() for host in hosts}

    def answer(self, *hosts: str) -> None:
        for host in hosts:
            self.hangs.pop(host).set()


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    it = Resolver()
    yield it
    it.answer(*it.hangs)


async def test_a_name_that_hangs_holds_up_no_other(resolver: Resolver) -> None:
    lookups = Lookups(4, resolver)
    resolver.hang("a", "b", "c")
    hanging = [asyncio.create_task(lookups.find(host)) for host in "abc"]
    await until(lambda: len(resolver.asked) == 3)
    assert await lookups.find("well") == [info("10.0.0.1")]
    resolver.answer("a", "b", "c")
    assert await asyncio.gather(*hanging) == [[info("10.0.0.1")]] * 3
    assert lookups.running == 0


async def test_a_name_has_one_thread_however_many_ask(resolver: Resolver) -> None:
    lookups = Lookups(4, resolver)
    resolver.hang("a")
    asking = [asyncio.create_task(lookups.find("a")) for _ in range(10)]
    await until(lambda: resolver.asked)
    asking[0].cancel()  # who leaves does not take the answer along
    await asyncio.wait(asking[:1])
    resolver.answer("a")
    assert await asyncio.gather(*asking[1:]) == [[info("10.0.0.1")]] * 9
    assert resolver.asked == ["a"]


async def test_an_answer_that_nobody_waits_for_any_more(resolver: Resolver) -> None:
    lookups = Lookups(1, resolver)
    resolver.hang("nobody")
    asking = asyncio.create_task(lookups.find("nobody"))
    await until(lambda: resolver.asked)
    asking.cancel()
    await asyncio.wait([asking])
    resolver.answer("nobody")
    assert await lookups.find("next") == [info("10.0.0.1")]


async def test_beyond_the_bound_they_wait_in_order(resolver: Resolver) -> None:
    lookups = Lookups(2, resolver)
    resolver.hang("a", "b", "c", "d")
    asking = [asyncio.create_task(lookups.find(host)) for host in "abcd"]
    await until(lambda: lookups.running == 2)
    assert sorted(resolver.asked) == ["a", "b"]
    resolver.answer("b")
    await asking[1]
    await until(lambda: len(resolver.asked) == 3)
    assert resolver.asked[-1] == "c"
    assert lookups.running == 2
    resolver.answer("a", "c", "d")
    await asyncio.gather(*asking)
    assert resolver.asked[-1] == "d"


async def test_names_that_were_slow_get_half_of_the_threads(resolver: Resolver) -> None:
    lookups = Lookups(4, resolver, slow=0.0)
    for host in "abcdef":  # each takes longer than no time
        await lookups.find(host)
    resolver.hang("a", "b", "c", "d", "e", "f")
    resolver.asked.clear()
    asking = [asyncio.create_task(lookups.find(host)) for host in "abcdef"]
    await until(lambda: len(resolver.asked) == 2)
    assert await lookups.find("well") == [info("10.0.0.1")]
    assert (resolver.asked, lookups.running) == (["a", "b", "well"], 2)
    resolver.answer(*"abcdef")
    await asyncio.gather(*asking)


async def test_a_name_that_is_fast_again_is_forgiven(resolver: Resolver) -> None:
    lookups = Lookups(2, resolver, slow=0.0)
    await lookups.find("a")
    assert "a" in lookups._slow
    lookups._slow_after = 60.0
    await lookups.find("a")
    assert not lookups._slow


async def test_only_so_many_names_are_remembered_as_slow(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.upstream.connect.resolver._SLOW", 3)
    lookups = Lookups(2, resolver, slow=0.0)
    for host in "abcde":
        await lookups.find(host)
    assert list(lookups._slow) == ["c", "d", "e"]


async def test_a_failure_is_everybodys(resolver: Resolver) -> None:
    lookups = Lookups(2, resolver)
    found = await asyncio.gather(*(lookups.find("no") for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in found] == [socket.gaierror] * 3
    assert resolver.asked == ["no"]
    with pytest.raises(socket.gaierror):  # asked again: what to remember is its owner's to know
        await lookups.find("no")


async def test_a_machine_without_threads(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups = Lookups(2, resolver)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _no_thread)
        with pytest.raises(OSError, match="can't start new thread") as caught:
            await lookups.find("a")
    assert not says_no(caught.value)
    assert await lookups.find("a") == [info("10.0.0.1")]


def _no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", ("127.0.0.1", 80)),
        ("::1", ("::1", 80, 0, 0)),
        ("localhost", None),
        ("a.example", None),
        ("x" * 64 + ".com", None),
        ("", None),
    ],
)
def test_what_is_an_address_needs_no_look_up(host: str, address: tuple[object, ...] | None) -> None:
    found = literal(host, 80)
    assert (found and found[0][4]) == address


def test_ports_are_put_in() -> None:
    six = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 0, 0, 2))
    assert [found[4] for found in with_port([info("10.0.0.1"), six], 443)] == [
        ("10.0.0.1", 443),
        ("fe80::1", 443, 0, 2),
    ]


@pytest.mark.parametrize(
    ("error", "no"),
    [
        (socket.gaierror(socket.EAI_NONAME, ""), True),
        (socket.gaierror(socket.EAI_NODATA, ""), True),
        (UnicodeError("label too long"), True),
        (socket.gaierror(socket.EAI_AGAIN, ""), False),
        (socket.gaierror(socket.EAI_FAIL, ""), False),
        (socket.gaierror(socket.EAI_SYSTEM, ""), False),
        (TimeoutError(), False),
        (OSError(24, "Too many open files"), False),
    ],
)
def test_which_failures_are_answers(error: Exception, no: bool) -> None:
    assert says_no(error) is no


def test_the_systems_resolver() -> None:
    assert {found[4][0] for found in ask_system("localhost")} <= {"127.0.0.1", "::1"}
    for host in ("x" * 64 + ".com", "a..b"):
        with pytest.raises(UnicodeError):
            ask_system(host)
