"""Options of sockets, and who is gone by what the kernel says."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest

from sidecar.upstream.connect import keepalive as liveness
from sidecar.upstream.connect.keepalive import give_up_unanswered, is_gone, keep_alive


class Told:
    """A TCP socket of which the kernel says what a test has it say."""

    family = socket.AF_INET

    def __init__(self, *, unacked: int = 0, probes: int = 0, last_ack: int = 0) -> None:
        head = [1, 0, 0, probes, 0, 0, 0, 0]
        numbers = [0, 0, 0, 0, unacked, 0, 0, 0, 0, 0, 0, 0, last_ack]
        self.info = struct.pack("=8B13I", *head, *numbers)

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        assert (level, option) == (socket.IPPROTO_TCP, socket.TCP_INFO)
        return self.info[:size]

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        raise AssertionError


LONG = (liveness.GONE_AFTER + 1) * 1000


@pytest.mark.parametrize(
    ("told", "gone"),
    [
        (Told(), False),
        (Told(last_ack=LONG), False),  # it rests: keep-alive asks
        (Told(unacked=1, last_ack=LONG), True),
        (Told(probes=1, last_ack=LONG), True),  # a shut window, and no answer to probes
        (Told(unacked=3, last_ack=121_000), False),  # probed every 120 s
        (Told(unacked=1, last_ack=0), False),
    ],
)
def test_who_is_gone(told: Told, gone: bool) -> None:
    assert is_gone(told) is gone


def test_what_the_kernel_says_of_a_connection_that_lives() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    with socket.create_connection(server.getsockname()) as client, server.accept()[0] as peer:
        client.sendall(b"x" * 1000)
        assert peer.recv(1000)
        assert not is_gone(client)
        info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 60)
        assert struct.unpack("=8B13I", info)[12 + 8] < 60_000
    assert not is_gone(client)  # closed
    server.close()


def test_a_connection_is_probed_and_its_listener_hands_that_on() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    keep_alive(server)
    with socket.create_connection(server.getsockname()), server.accept()[0] as accepted:
        for sock in (server, accepted):
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 30
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 4
        give_up_unanswered(accepted, 1.5)
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1500
    give_up_unanswered(accepted, 0)  # closed: nothing to do
    server.close()


def test_what_is_not_tcp_is_left_alone(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        keep_alive(sock)
        give_up_unanswered(sock, 1)
        assert not is_gone(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
