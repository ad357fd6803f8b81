"""A clock for streams that is finer than the event loop's milliseconds.

Out of the box the chunks of many streams go out one by one, evenly spaced: a proxy that gathers
chunks gains nothing, and the delay that is measured is not that of the upstream's own bursts. With
one slot they go out together, as an engine that batches emits a token for each stream in a step.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from collections.abc import Callable
from typing import Final

_SLOTS: Final = 64
_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC  # TFD_NONBLOCK | TFD_CLOEXEC


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Pacer:
    """Calls each of its members once per *interval* seconds, in turn, until it returns False."""

    def __init__(self, interval: float, slots: int = _SLOTS) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)  # os.timerfd_create is Python 3.13's
        self._timer: int = self._libc.timerfd_create(time.CLOCK_MONOTONIC, _FLAGS)
        self._tick = int(interval * 1e9 / slots)
        self._slots: list[list[Callable[[], bool]]] = [[] for _ in range(slots)]
        self._at = 0
        self._members = 0
        asyncio.get_running_loop().add_reader(self._timer, self._expired)

    def add(self, member: Callable[[], bool]) -> None:
        """Take *member* into the emptiest slot."""
        min(self._slots, key=len).append(member)
        self._members += 1
        if self._members == 1:
            self._arm(self._tick)

    def _arm(self, tick: int) -> None:
        """Expire every *tick* nanoseconds; 0: never."""
        span = _Timespec(0, tick)
        setting = ctypes.byref(_Itimerspec(span, span))
        if self._libc.timerfd_settime(self._timer, 0, setting, None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def _expired(self) -> None:
        try:
            missed = int.from_bytes(os.read(self._timer, 8), "little")
        except BlockingIOError:  # it was disarmed in between
            return
        for _ in range(min(missed, len(self._slots))):
            self._at = (self._at + 1) % len(self._slots)
            self._turn(self._slots[self._at])
        if not self._members:
            self._arm(0)

    def _turn(self, slot: list[Callable[[], bool]]) -> None:
        if slot:
            stay = [member for member in slot if member()]
            self._members -= len(slot) - len(stay)
            slot[:] = stay
