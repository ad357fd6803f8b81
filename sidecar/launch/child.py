"""Run a program as if we were not there: its signals, its exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

_PASSED_ON: Final = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT")
_FROM_TERMINAL: Final = ("SIGINT", "SIGQUIT")
"""A terminal sends these to the program as well: passing them on would be once too often."""
NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126


def leave_in_order() -> None:
    """Until there is a program to have them: let signals that end us end what we began."""
    for name in ("SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), _leave)


def run(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run *command* to its end. Its exit code, or as shells have it: 128 + the signal's number."""
    started: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _: object) -> None:
        for child in started:
            child.send_signal(number)  # nothing, once it has ended

    own = _FROM_TERMINAL if _has_terminal() else ()
    for name in (*_PASSED_ON, *_FROM_TERMINAL):
        signal.signal(getattr(signal, name), _leave_to_it if name in own else pass_on)
    try:
        child = subprocess.Popen(command, env=dict(environ))
    except FileNotFoundError:
        print(f"sidecar exec: {command[0]}: not found", file=sys.stderr)
        return NOT_FOUND
    except OSError as error:
        print(f"sidecar exec: {command[0]}: {error.strerror}", file=sys.stderr)
        return NOT_EXECUTABLE
    started.append(child)
    code = child.wait()
    return code if code >= 0 else 128 - code


def _leave(number: int, _: object) -> None:
    sys.exit(128 + number)


def _leave_to_it(number: int, _: object) -> None:
    """Go on: not with SIG_IGN, which the program would inherit."""


def _has_terminal() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
