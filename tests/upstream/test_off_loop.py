"""Work in threads of its own: what hangs there holds up neither others nor the end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from sidecar.upstream.off_loop import off_loop


async def test_it_returns_and_raises_what_the_work_does() -> None:
    assert await off_loop(threading.current_thread) is not threading.current_thread()
    with pytest.raises(ZeroDivisionError):
        await off_loop(lambda: 1 / 0)


async def test_what_hangs_holds_up_nothing_else() -> None:
    release = threading.Event()
    hanging = [asyncio.create_task(off_loop(release.wait)) for _ in range(50)]
    await asyncio.sleep(0)
    assert await off_loop(lambda: "well") == "well"
    hanging[0].cancel()
    release.set()
    await asyncio.wait(hanging)
    assert [task.cancelled() for task in hanging] == [True] + [False] * 49


def test_what_hangs_does_not_hold_up_the_end() -> None:
    program = """
import asyncio, threading, uvloop
from sidecar.upstream.off_loop import off_loop
async def main():
    task = asyncio.create_task(off_loop(threading.Event().wait))
    await asyncio.sleep(0.05)
uvloop.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=30, check=True)
    assert done.returncode == 0
