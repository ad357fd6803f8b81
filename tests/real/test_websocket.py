"""WebSockets through the tunnel, with the `websockets` library at both ends."""

from __future__ import annotations

import contextlib
import http
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from peers import Sidecar, Ways
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.http11 import Request, Response
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

left = threading.Event()
"""Set when a caller of `/watched` has gone."""


def _handle(peer: ServerConnection) -> None:
    match peer.request.path.partition("?")[0] if peer.request else "":
        case "/echo":
            for message in peer:
                peer.send(message)
        case "/describe":
            peer.send(f"{peer.request.path} {peer.subprotocol}" if peer.request else "")
        case "/busy":
            peer.close(4008, "come back later")
        case "/dies":
            peer.send("last words")
            peer.socket.shutdown(socket.SHUT_RDWR)
        case "/watched":
            peer.send("hello")
            with contextlib.suppress(ConnectionClosedError):
                list(peer)
            left.set()


def _refuse(peer: ServerConnection, request: Request) -> Response | None:
    if request.path == "/forbidden":
        return peer.respond(http.HTTPStatus.FORBIDDEN, "not you\n")
    return None


@pytest.fixture(scope="module")
def server(ways: Ways) -> Iterator[str]:
    """Base URL of a WebSocket server."""
    with serve(
        _handle,
        "127.0.0.1",
        ways.ports["websocket"],
        process_request=_refuse,
        subprotocols=["realtime"],  # type: ignore[list-item]
        select_subprotocol=lambda _peer, offered: next(iter(offered), None),
        max_size=None,
    ) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield ways.url("websocket").replace("http:", "ws:")
        listening.shutdown()
    thread.join()


def test_echo_of_all_sizes_and_kinds(server: str) -> None:
    with connect(server + "/echo", max_size=None) as caller:
        for size in (0, 1, 125, 126, 65535, 65536, 5_000_000):
            for message in ("é" * (size // 2), b"\x00\xff" * (size // 2)):
                caller.send(message)
                assert caller.recv(timeout=20) == message


def test_both_directions_at_once(server: str) -> None:
    sent = [f"message {n} ".ljust(2000, "x") for n in range(500)]
    with connect(server + "/echo") as caller, ThreadPoolExecutor(1) as pool:
        sending = [pool.submit(caller.send, message) for message in sent]
        assert [caller.recv(timeout=20) for _ in sent] == sent
        wait(sending)


def test_query_and_subprotocol_arrive(server: str) -> None:
    with connect(server + "/describe?model=m&a=%20b", subprotocols=["realtime"]) as caller:  # type: ignore[list-item]
        assert caller.recv(timeout=20) == "/describe?model=m&a=%20b realtime"


def test_servers_close_code_arrives(server: str) -> None:
    with connect(server + "/busy") as caller, pytest.raises(ConnectionClosedError) as caught:
        caller.recv(timeout=20)
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4008, "come back later")


def test_server_that_dies_is_noticed(server: str) -> None:
    with connect(server + "/dies") as caller:
        assert caller.recv(timeout=20) == "last words"
        with pytest.raises(ConnectionClosedError):
            caller.recv(timeout=20)


def test_caller_that_dies_is_noticed(server: str) -> None:
    left.clear()
    with connect(server + "/watched") as caller:
        assert caller.recv(timeout=20) == "hello"
        caller.socket.shutdown(socket.SHUT_RDWR)
        assert left.wait(10)


def test_sessions_that_ended_leave_nothing_behind(server: str, sidecar: Sidecar) -> None:
    for _ in range(5):
        with connect(server + "/echo") as caller:
            caller.send("x")
            assert caller.recv(timeout=20) == "x"
    deadline = time.monotonic() + 10
    while "tunnel" in sidecar.states():
        assert time.monotonic() < deadline, "tunnels stay open"
        time.sleep(0.02)


def test_refused_handshake_is_handed_on(server: str) -> None:
    with pytest.raises(InvalidStatus) as caught, connect(server + "/forbidden"):
        pass
    assert caught.value.response.status_code == 403
    assert caught.value.response.body == b"not you\n"
