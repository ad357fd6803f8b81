"""Connecting to the addresses of a name, over real sockets on loopback."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from sidecar.upstream.connect import happy_eyeballs as connecting
from sidecar.upstream.connect import own_sockets as own
from sidecar.upstream.connect.happy_eyeballs import connect, interleaved, local_reason
from sidecar.upstream.connect.resolver import AddrInfo
from tests.sockets.peers import Server, until


def v4(host: str, port: int) -> AddrInfo:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))


def v6(host: str, port: int) -> AddrInfo:
    return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (host, port, 0, 0))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """Every socket that was made; all but those that a test took must be closed."""
    sockets: list[socket.socket] = []

    def make(info: AddrInfo) -> socket.socket:
        sockets.append(own.own_socket(info))
        return sockets[-1]

    monkeypatch.setattr(connecting, "own_socket", make)
    yield sockets
    assert all(sock.fileno() == -1 for sock in sockets)


@pytest.fixture(autouse=True)
def no_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks a resolver to connect to an address fails."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a look-up")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


async def takes_it(sock: socket.socket, server: Server) -> None:
    peer = await server.accepts()
    assert sock.getpeername() == server.sock.getsockname()
    await peer.sends(b"hi")
    assert await asyncio.get_running_loop().sock_recv(sock, 9) == b"hi"
    sock.close()
    server.closes()


async def test_one_address(made: list[socket.socket]) -> None:
    server = Server()
    await takes_it(await connect([v4("127.0.0.1", server.port)]), server)


async def test_libuvs_resolver_is_not_asked(made: list[socket.socket]) -> None:
    """uvloop's own `sock_connect` would ask it, even for an address."""
    server, loop = Server(), asyncio.get_running_loop()

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a look-up")

    loop.getaddrinfo = refuse  # type: ignore[method-assign]
    infos = [v4("127.0.0.1", server.port), v4("127.0.0.1", server.port)]
    await takes_it(await connect(infos), server)


async def test_nobody_there(made: list[socket.socket]) -> None:
    server = Server()
    server.closes()
    with pytest.raises(ConnectionRefusedError, match=r"Connection refused \(127\.0\.0\.1\)"):
        await connect([v4("127.0.0.1", server.port)])


async def test_the_next_is_tried_at_once_when_one_fails(
    made: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "NEXT_ADDRESS_AFTER", 60.0)
    server = Server()
    infos = [v4("127.0.0.3", server.port), v4("127.0.0.1", server.port)]
    await takes_it(await connect(infos), server)
    assert len(made) == 2


async def test_the_next_is_tried_soon_when_one_is_silent(
    made: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "NEXT_ADDRESS_AFTER", 0.01)
    server = Server()
    silent = Server(backlog=0, host="127.0.0.3", port=server.port)
    full = await fill(silent)
    infos = [v4("127.0.0.3", server.port), v4("127.0.0.1", server.port)]
    await takes_it(await connect(infos), server)
    await until(lambda: all(sock.fileno() == -1 for sock in made))
    silent.closes()
    for sock in full:
        sock.close()


async def fill(server: Server) -> list[socket.socket]:
    """Make its backlog full, so that who connects next is not answered."""
    made: list[socket.socket] = []
    for _ in range(4):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(server.sock.getsockname())
        made.append(sock)
    await asyncio.sleep(0.01)
    return made


async def test_who_leaves_leaves_no_socket(made: list[socket.socket]) -> None:
    silent = Server(backlog=0)
    full = await fill(silent)
    infos = [v4("127.0.0.1", silent.port), v4("127.0.0.1", silent.port)]
    connects = asyncio.create_task(connect(infos))
    await until(lambda: made)
    connects.cancel()
    await asyncio.wait([connects])
    await until(lambda: all(sock.fileno() == -1 for sock in made))
    silent.closes()
    for sock in full:
        sock.close()


async def test_two_that_connect_at_once(
    made: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "NEXT_ADDRESS_AFTER", 0.0)
    server = Server()
    sock = await connect([v4("127.0.0.1", server.port)] * 3)
    sock.close()
    await until(lambda: all(one.fileno() == -1 for one in made))
    server.closes()


async def test_of_all_failures_that_one_which_tells_of_the_server(
    made: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connected(sock: socket.socket, address: tuple[object, ...]) -> None:
        raise OSError({"::1": errno.EADDRNOTAVAIL}.get(str(address[0]), errno.ECONNREFUSED), "")

    monkeypatch.setattr(connecting, "_connected", connected)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - its number is looked at
        await connect([v6("::1", 1), v4("127.0.0.1", 1)])
    assert caught.value.errno == errno.ECONNREFUSED
    with pytest.raises(OSError) as caught:  # noqa: PT011
        await connect([v6("::1", 1), v6("::1", 2)])
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_families_take_turns() -> None:
    infos = [v6("::1", 1), v6("::2", 1), v6("::3", 1), v4("1.1.1.1", 1), v4("1.1.1.2", 1)]
    hosts = [info[4][0] for info in interleaved(infos)]
    assert hosts == ["::1", "1.1.1.1", "::2", "1.1.1.2", "::3"]
    assert interleaved(infos[:2]) == infos[:2]


@pytest.mark.parametrize(
    ("code", "ours"),
    [
        (errno.EMFILE, True),
        (errno.ENFILE, True),
        (errno.ENOBUFS, True),
        (errno.ENOMEM, True),
        (errno.EADDRNOTAVAIL, True),
        (errno.EAGAIN, True),
        (errno.ECONNREFUSED, False),
        (errno.ETIMEDOUT, False),
        (errno.ENETUNREACH, False),
        (errno.EHOSTUNREACH, False),
        (None, False),
    ],
)
def test_which_failures_are_ours(code: int | None, ours: bool) -> None:
    error = OSError() if code is None else OSError(code, "")
    assert (local_reason(error) is not None) is ours
