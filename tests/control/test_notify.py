"""What the service manager is told, by real datagrams."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from sidecar.control.notify import Notifier


class Manager:
    """A socket as systemd has it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self.socket.setblocking(False)

    async def hears(self) -> list[str]:
        """The lines of the next message that is no beat."""
        while (heard := await self.next()) == ["WATCHDOG=1"]:
            pass
        return heard

    async def next(self) -> list[str]:
        async with asyncio.timeout(20):
            return (
                (await asyncio.get_running_loop().sock_recv(self.socket, 4096)).decode().split("\n")
            )


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@sidecar-test-{uuid4()}"
    manager = Manager(name)
    yield manager
    manager.socket.close()


async def test_a_life(manager: Manager) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.name})
    notifier.ready()
    assert await manager.next() == ["READY=1", "STATUS=serving"]
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    first, stamp = await manager.next()
    assert first == "RELOADING=1"
    assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= before + 20_000_000
    notifier.ready()
    assert await manager.next() == ["READY=1", "STATUS=serving"]
    notifier.stopping(30.0)
    assert await manager.next() == [
        "STOPPING=1",
        "EXTEND_TIMEOUT_USEC=40000000",
        "STATUS=draining, for 30 s at most",
    ]


async def test_a_reload_that_ends_after_the_end_began_says_nothing(manager: Manager) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.name})
    notifier.stopping(0.0)
    notifier.reloading()
    notifier.ready()
    assert (await manager.next())[0] == "STOPPING=1"
    with pytest.raises(BlockingIOError):
        manager.socket.recv(1)


async def test_the_loop_beats_while_it_runs(manager: Manager) -> None:
    environ = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "2000"}
    notifier = Notifier(environ | {"WATCHDOG_PID": str(os.getpid())})
    notifier.ready()
    assert (await manager.next())[0] == "READY=1"
    for _ in range(3):
        assert await manager.next() == ["WATCHDOG=1"]
    notifier.stopping(1.0)
    assert (await manager.hears())[0] == "STOPPING=1"
    assert await manager.next() == ["WATCHDOG=1"], "the drain may take longer than the watchdog"


@pytest.mark.parametrize(
    "environ", [{"WATCHDOG_USEC": "2000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "?"}, {}]
)
async def test_beats_that_are_not_for_us_are_not_sent(
    environ: dict[str, str], tmp_path: Path
) -> None:
    manager = Manager(str(tmp_path / "notify"))
    notifier = Notifier(environ | {"NOTIFY_SOCKET": manager.name})
    notifier.ready()
    assert (await manager.next())[0] == "READY=1"
    await asyncio.sleep(0.02)  # ten beats
    with pytest.raises(BlockingIOError):
        manager.socket.recv(1)
    manager.socket.close()


async def test_a_manager_that_is_not_there_disturbs_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for place in ("", "vsock:2:1234", str(tmp_path / "nobody")):
        notifier = Notifier({"NOTIFY_SOCKET": place})
        notifier.ready()
        notifier.stopping(1.0)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    assert said[0].startswith("NOTIFY_SOCKET names no Unix socket")
    assert said[1].startswith("the service manager was not told READY=1: ")


async def test_a_sidecar_tells_it_all(manager: Manager, tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    text = (
        "listeners: [{address: '127.0.0.1:0'}]\nadmin: {address: null}\nroutes: [{upstream: u}]\n"
        "upstreams: {u: {endpoints: [{url: 'http://127.0.0.1:1'}]}}\ndrain: 3s\n"
    )
    file.write_text(text)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "run", "-c", str(file)),
        env={**os.environ, "NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "100000"},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert (await manager.hears())[0] == "READY=1"
        assert await manager.next() == ["WATCHDOG=1"]
        for content in (text + "log_level: warning\n", "not: {good"):
            file.write_text(content)
            process.send_signal(signal.SIGHUP)
            assert (await manager.hears())[0] == "RELOADING=1"
            assert (await manager.hears())[0] == "READY=1"
        process.send_signal(signal.SIGTERM)
        stopping = await manager.hears()
        assert stopping[:2] == ["STOPPING=1", "EXTEND_TIMEOUT_USEC=13000000"]
        _, said = await process.communicate()
        assert process.returncode == 0
        assert re.search("configuration refused", said.decode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
