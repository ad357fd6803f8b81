"""Knowing our own connections when they come back to us."""

import socket
from collections.abc import Iterator

import pytest

from sidecar.upstream.connect import own_sockets as own


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def dialled(server: socket.socket) -> tuple[socket.socket, tuple[str, int]]:
    """A connection of ours that is being made, and who the server says has connected."""
    address = server.getsockname()
    sock = own.own_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", address))
    assert sock.connect_ex(address) in (0, 115)
    accepted, peer = server.accept()
    accepted.close()
    return sock, peer


def test_while_it_connects_and_is_open(server: socket.socket) -> None:
    sock, peer = dialled(server)
    assert own.is_own(peer)
    sock.close()
    assert not own.is_own(peer)


def test_one_that_is_kept_until_it_is_forgotten(server: socket.socket) -> None:
    sock, peer = dialled(server)
    end = own.remember(sock)
    assert end == peer
    assert own.is_own(peer)
    sock.close()
    own.forget(end)
    assert not own.is_own(peer)


def test_others(server: socket.socket) -> None:
    with socket.create_connection(server.getsockname()) as client:
        assert not own.is_own(client.getsockname())
