"""Accepting connections on a machine that has no descriptors left."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any, cast

import pytest

from sidecar.control import acceptor
from sidecar.control.acceptor import Acceptor
from sidecar.observe import shortage
from tests.sockets.peers import until


class Listening:
    """A listening socket, for whose connections there may be no descriptor."""

    def __init__(self) -> None:
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.missing = 0
        self.tried = 0

    def accept(self) -> Any:
        self.tried += 1
        if self.missing:
            self.missing -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self.sock.accept()

    def fileno(self) -> int:
        return self.sock.fileno()

    def setblocking(self, flag: bool) -> None:
        self.sock.setblocking(flag)

    def close(self) -> None:
        self.sock.close()


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        self.transport.close()


async def answered(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hi")
    said = await reader.read()
    writer.close()
    return said


async def test_it_accepts_again_and_has_another_closed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(acceptor, "_AGAIN", 0.001)
    monkeypatch.setattr(shortage, "_said", {})
    before, spared = shortage.counts["admin"], 0

    def spare() -> None:
        nonlocal spared
        spared += 1

    listening = Listening()
    port = listening.sock.getsockname()[1]
    it = Acceptor(asyncio.get_running_loop(), cast("socket.socket", listening), Echo, spare)
    assert await answered(port) == b"hi"
    listening.missing = 20
    assert await answered(port) == b"hi"
    assert (spared, shortage.counts["admin"] - before) == (20, 20)
    assert len(caplog.records) == 1
    assert "Traceback" not in caplog.text
    it.close()


async def test_it_can_be_closed_while_it_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    listening = Listening()
    listening.missing = 1000
    loop = asyncio.get_running_loop()
    it = Acceptor(loop, cast("socket.socket", listening), Echo, lambda: None)
    _, writer = await asyncio.open_connection("127.0.0.1", listening.sock.getsockname()[1])
    await until(lambda: listening.tried)
    it.close()
    tried = listening.tried
    await asyncio.sleep(acceptor._AGAIN * 2)
    assert listening.tried == tried
    writer.close()
