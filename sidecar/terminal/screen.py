"""A terminal as a screen that is drawn again and again, with keys (ECMA-48, and xterm's modes)."""

from __future__ import annotations

import os
import re
import shutil
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

_OPEN: Final = "\x1b[?1049h\x1b[?25l"
"""Another page than the shell's, no cursor."""
_CLOSE: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_REST_OF_LINE: Final = "\x1b[K"
_REST: Final = "\x1b[J"
_SEQUENCE: Final = re.compile(rb"\x1b(?:\[|O)([0-9;]*)([A-Za-z~])|([\x00-\x7f])")
_NAMED: Final = {
    b"A": "up", b"B": "down", b"H": "home", b"5~": "page_up", b"6~": "page_down", b"1~": "home",
}  # fmt: skip
_CONTROLS: Final = {"\t": "tab", "\x04": "q"}


@contextmanager
def opened() -> Iterator[None]:
    """Draw on a page of our own, and read keys one by one; all is as it was afterwards."""
    keyboard = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    before = None if keyboard is None else termios.tcgetattr(keyboard)
    sys.stdout.write(_OPEN)
    sys.stdout.flush()
    try:
        if keyboard is not None:
            tty.setcbreak(keyboard)
            _forbid_suspending(keyboard)
        yield
    finally:
        if keyboard is not None:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)  # type: ignore[arg-type]
        with suppress(OSError):  # the terminal may be gone
            sys.stdout.write(_CLOSE)
            sys.stdout.flush()


def _forbid_suspending(keyboard: int) -> None:
    """Ctrl-Z would leave our page on the terminal."""
    modes = termios.tcgetattr(keyboard)
    modes[6][termios.VSUSP] = os.fpathconf(keyboard, "PC_VDISABLE").to_bytes(1, "little")
    termios.tcsetattr(keyboard, termios.TCSANOW, modes)


def draw(lines: list[str]) -> None:
    """Show *lines*, which fit the screen, in place of what it shows."""
    sys.stdout.write(_HOME + f"{_REST_OF_LINE}\n".join(lines) + _REST_OF_LINE + _REST)
    sys.stdout.flush()


def size() -> tuple[int, int]:
    """Return the screen's columns and lines, as it is now; COLUMNS and LINES say otherwise."""
    found = shutil.get_terminal_size((80, 24))
    return max(20, found.columns), max(4, found.lines)


def keys(data: bytes) -> list[str]:
    """Name the keys that *data* is: a letter stands for itself."""
    found = []
    for match in _SEQUENCE.finditer(data):
        number, letter, plain = match.groups()
        if plain is not None:
            text = plain.decode()
            found.append(_CONTROLS.get(text, text))
        else:
            name = _NAMED.get(number + letter if letter == b"~" else letter)
            found += [name] if name else []
    return found
