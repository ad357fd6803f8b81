"""`sidecar` on a terminal of its own: what it draws, keys, another size."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from typing import Final, Self

_WAIT: Final = 30.0
_CSI: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_START: Final = """
import fcntl, runpy, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C and another size become signals
runpy.run_module("sidecar", run_name="__main__", alter_sys=True)
"""
HOME: Final = "\x1b[H"
OPENED: Final = "\x1b[?1049h"
CLOSED: Final = "\x1b[?1049l"


class Console:
    """A process on a pseudo terminal of so many columns and lines."""

    def __init__(self, *arguments: str, columns: int = 100, lines: int = 30, **more: str) -> None:
        self.ours, theirs = pty.openpty()
        self.text = ""
        self.resize(columns, lines, tell=False)
        environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1", **more}
        for name in ("COLUMNS", "LINES"):
            if name not in more:
                environment.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        self.modes = termios.tcgetattr(theirs)
        self._theirs = theirs

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self.ours)
        os.close(self._theirs)

    def resize(self, columns: int, lines: int, *, tell: bool = True) -> None:
        """Make it another size; its kernel sends SIGWINCH."""
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if tell:
            self.text += HOME  # what was drawn before does not count

    def press(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def frame(self) -> list[str]:
        """The lines of the last whole picture, without colours."""
        shown = [part for part in self.text.split(HOME) if part.endswith("\x1b[J")]
        return _CSI.sub("", shown[-1]).split("\r\n") if shown else []

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Read what it prints until *condition* holds."""
        end = time.monotonic() + _WAIT
        while not condition():
            assert time.monotonic() < end, f"{what} did not come about: {self.text[-3000:]!r}"
            self.read(0.05)

    def shows(self, text: str) -> None:
        self.until(lambda: any(text in line for line in self.frame()), f"{text!r} on the screen")

    def prints(self, text: str) -> None:
        self.until(lambda: text in self.text, f"{text!r}")

    def read(self, seconds: float) -> None:
        ready, _, _ = select.select([self.ours], [], [], seconds)
        if ready:
            self.text += os.read(self.ours, 65536).decode(errors="replace")

    def ended(self) -> tuple[int, str]:
        """Its exit code and its last words, when it has ended by itself."""
        self.until(lambda: self.process.poll() is not None, "its end")
        self.read(0)
        _, said = self.process.communicate(timeout=_WAIT)
        return self.process.returncode, said.decode()
