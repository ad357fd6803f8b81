"""Looking at first bytes without taking them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator

from sidecar.listen.intercept.peek import peek


@contextlib.contextmanager
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's end, and the accepted one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        accepted.setblocking(False)
        with client, accepted:
            yield client, accepted


async def test_what_came_stays() -> None:
    with connection() as (client, accepted):
        client.sendall(b"hello")
        assert await peek(accepted, lambda data: len(data), 100, 1) == 5
        assert accepted.recv(100) == b"hello"


async def test_it_waits_for_more_without_turning_in_circles() -> None:
    asked: list[bytes] = []

    def judge(data: bytes) -> bool | None:
        asked.append(data)
        return True if data.endswith(b"3") else None

    with connection() as (client, accepted):
        peeking = asyncio.ensure_future(peek(accepted, judge, 100, 5))
        for part in (b"1", b"2", b"3"):
            client.sendall(part)
            await asyncio.sleep(0.02)
        assert await peeking
        assert asked == [b"1", b"12", b"123"]
        assert accepted.recv(1) == b"1"  # the kernel tells of one byte again


async def test_it_looks_at_no_more_than_it_is_asked_to() -> None:
    with connection() as (client, accepted):
        client.sendall(bytes(1000))
        assert await peek(accepted, lambda data: len(data), 100, 1) == 100


async def test_silence() -> None:
    with connection() as (_, accepted):
        assert await peek(accepted, lambda data: True, 100, 0.02) is None


async def test_too_little_and_then_the_end() -> None:
    with connection() as (client, accepted):
        client.sendall(b"x")
        client.shutdown(socket.SHUT_WR)
        assert await peek(accepted, lambda data: len(data) > 1 or None, 100, 5) is None
        assert accepted.recv(100) == b"x"


async def test_a_reset() -> None:
    with connection() as (client, accepted):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        assert await peek(accepted, lambda data: True if data else None, 100, 5) is None
