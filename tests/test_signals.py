"""Signals that come while a command starts: they do what they do later."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.test_app import free_port

LOADS = """
import sys
from sidecar.control import reload
load = reload.load
def slow(*args, **more):
    print("loading", flush=True)
    sys.stdin.readline()
    return load(*args, **more)
reload.load = slow
"""
"""Stops in the middle of the start, and at each reload, until it is told to go on."""
BINDS = """
import sys
from sidecar.control.admin import AdminServer
def stop(_):
    print("bound", flush=True)
    sys.stdin.readline()
AdminServer.start = stop
"""
"""Stops when its listeners are bound, and it is not ready yet."""
IMPORTS = """
import sys
from sidecar import cli
def stop(_=None):
    print("importing", flush=True)
    sys.stdin.readline()
cli.main = stop
"""
MAIN = """
import sys
from sidecar.__main__ import main
sys.exit(main())
"""


class Starting:
    """A command, which stops where *stop* has it, as of which `says` tells."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self, what: bytes) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            assert (await self.process.stdout.readline()).strip() == what

    def goes_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")

    async def ends(self) -> tuple[int, str]:
        async with asyncio.timeout(30):
            _, said = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, said.decode()


@asynccontextmanager
async def starting(stop: str, *arguments: str) -> AsyncIterator[Starting]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", stop + MAIN, *arguments, stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        yield Starting(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def configuration(folder: Path) -> str:
    file = folder / "sidecar.yaml"
    config = {
        "listeners": [{"path": str(folder / "socket")}],
        "upstreams": {"u": {"endpoints": [{"url": "http://127.0.0.1:1"}]}},
        "routes": [{"upstream": "u"}],
        "access_log": {"path": None},
        "admin": {"address": f"127.0.0.1:{free_port()}"},
    }
    file.write_text(json.dumps(config))
    return str(file)


@pytest.mark.parametrize("stop", [LOADS, BINDS, IMPORTS], ids=["loads", "binds", "imports"])
async def test_term_ends_it_at_any_moment(tmp_path: Path, stop: str) -> None:
    async with starting(stop, "run", "-c", configuration(tmp_path)) as it:
        await it.says({LOADS: b"loading", BINDS: b"bound", IMPORTS: b"importing"}[stop])
        it.process.send_signal(signal.SIGTERM)
        assert await it.ends() == (0, "")
        assert not (tmp_path / "socket").exists()


async def test_hanging_up_is_done_when_it_can_be(tmp_path: Path) -> None:
    async with starting(LOADS, "run", "-c", configuration(tmp_path)) as it:
        await it.says(b"loading")
        it.process.send_signal(signal.SIGHUP)
        it.process.send_signal(signal.SIGHUP)
        it.goes_on()
        await it.says(b"loading")  # again: the file may have changed since it was read
        it.process.send_signal(signal.SIGTERM)  # and a file that can't be read holds up no end
        code, said = await it.ends()
        assert (code, "Traceback" in said, "stopped" in said) == (0, False, True)


@pytest.mark.parametrize("command", ["run", "webhook", "simulate"])
async def test_all_commands_that_serve_heed_term_before_anything_is_imported(command: str) -> None:
    async with starting(IMPORTS, command) as it:
        await it.says(b"importing")
        it.process.send_signal(signal.SIGTERM)
        assert await it.ends() == (0, "")


@pytest.mark.parametrize("command", ["check", "webhook", "simulate"])
async def test_others_are_killed_as_any_program_is(command: str) -> None:
    number = signal.SIGTERM if command == "check" else signal.SIGHUP
    async with starting(IMPORTS, command) as it:
        await it.says(b"importing")
        it.process.send_signal(number)
        assert await it.ends() == (-number, "")
