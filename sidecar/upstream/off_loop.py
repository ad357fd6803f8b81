"""Runs work that may block, such as reading files: a file system can hang as any peer can."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


async def off_loop(work: Callable[[], T]) -> T:
    """Run *work* in a thread of its own; return what it returns, raise what it raises.

    Not in the loop's executor: what hangs there keeps a thread that all share, and the process from
    ending. For what is rare: a thread takes 0.1 ms to make.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        settle: Callable[[], None]
        try:
            settle = partial(result.set_result, work())
        except Exception as error:
            settle = partial(result.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile
            loop.call_soon_threadsafe(_settle, result, settle)

    Thread(target=run, name="off-loop", daemon=True).start()
    return await result


def _settle(result: asyncio.Future[T], settle: Callable[[], None]) -> None:
    if not result.done():
        settle()
