"""Signals that come while a command still starts, before its loop can obey them.

Python would be killed by SIGHUP, which systemd takes for a clean end, and as process 1 of a
container it would not even notice SIGTERM: the kernel drops what a process 1 does not handle.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Final

_came: Final[set[int]] = set()
_tidy: Final[list[Callable[[], None]]] = []


def hold(*, hang_up: bool) -> None:
    """From now on SIGTERM ends the process with 0, and SIGHUP is remembered if *hang_up*.

    Who can obey them puts handlers of its own in their place, and then looks at what `came`.
    """
    signal.signal(signal.SIGTERM, _end)
    if hang_up:
        signal.signal(signal.SIGHUP, _remember)


def before_end(tidy: Callable[[], None]) -> None:
    """Call *tidy* before SIGTERM ends the process. It must not wait."""
    _tidy.append(tidy)


def came(number: int) -> bool:
    """Whether the signal *number* came while it was held."""
    return number in _came


def _end(number: int, frame: FrameType | None) -> None:
    # Not by an exception: in the middle of an import it would meet C code that does not expect one,
    # and where it is raised in a destructor, Python drops it.
    for tidy in _tidy:
        with contextlib.suppress(Exception):
            tidy()
    os._exit(0)


def _remember(number: int, frame: FrameType | None) -> None:
    _came.add(number)
