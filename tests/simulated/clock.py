"""A loop whose time jumps to the next timer: a minute of a fleet takes a second, and no luck."""

from __future__ import annotations

import asyncio
import random
import selectors
import time
from collections.abc import Coroutine
from typing import Any, TypeVar
from unittest import mock

from sidecar.upstream import load_balancer as rotation

T = TypeVar("T")


class Clock:
    """Monotonic seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class _Jump(selectors.SelectSelector):
    """Waits for nothing: time has passed as soon as it is asked for."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "nothing will ever happen again"
        self._clock.now += max(0.0, timeout)
        return []


def run(main: Coroutine[Any, Any, T], seed: int = 1) -> T:
    """What *main* returns, run in simulated time. The same seed gives the same history."""
    clock = Clock()
    draws = random.Random(seed)
    with (
        mock.patch.object(time, "monotonic", clock),
        mock.patch.object(random, "random", draws.random),
        mock.patch.object(rotation, "_random", draws.random),
    ):
        loop = asyncio.SelectorEventLoop(_Jump(clock))
        try:
            return loop.run_until_complete(main)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
