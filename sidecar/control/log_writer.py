"""Writes log lines in a thread of its own: the reader of standard error may stop reading.

A pipe holds 64 KiB. Once it is full, a write waits for its reader; on the data plane's loop, every
call would wait as well.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from threading import Event, Lock, Thread
from typing import Final

from sidecar.observe.access_log import wait_writable

QUEUED: Final = 2**20
"""Bytes of lines that wait at most: some thousand lines. More are dropped, and counted."""
_FLUSH: Final = 1.0
"""Seconds that the lines get to be written before the process ends."""


class LogWriter(logging.Handler):
    """Formats on the thread that logs, and writes to the descriptor *fd* on its own."""

    def __init__(self, fd: int, queued: int = QUEUED) -> None:
        super().__init__()
        self.dropped = 0
        """Lines that were lost since the start."""
        self._fd = fd
        self._most = queued
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._lost = 0
        """Lines that were lost since this was last logged."""
        self._guard = Lock()
        self._work = Event()
        self._empty = Event()
        self._empty.set()
        self._thread: Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line, or drop it where too much waits already. Never waits."""
        try:
            text = self.format(record)
        except Exception as error:  # a log line must not fail who logs
            text = f"a line of {record.name} can't be formatted: {error!r}"
        line = text.encode("utf-8", "backslashreplace") + b"\n"
        with self._guard:
            if self._bytes + len(line) > self._most:
                self.dropped += 1
                self._lost += 1
                return
            self._lines.append(line)
            self._bytes += len(line)
            self._empty.clear()
        self._work.set()
        if self._thread is None:
            self._thread = Thread(target=self._run, name="log", daemon=True)
            self._thread.start()

    def flush(self) -> None:
        """Wait until all is written, for a second at most: the process ends after it."""
        if self._thread is not None:
            self._empty.wait(_FLUSH)

    def _run(self) -> None:
        while self._work.wait():
            self._work.clear()
            while (lines := self._take()) is not None:
                self._write(lines)

    def _take(self) -> list[bytes] | None:
        """All lines that wait, and how many were lost before them; None if there is none."""
        with self._guard:
            lines, lost = list(self._lines), self._lost
            self._lines.clear()
            self._bytes = self._lost = 0
            if not lines and not lost:
                self._empty.set()
                return None
        if lost:
            lines.append(self._said(lost))
        return lines

    def _said(self, lost: int) -> bytes:
        text = "log lines were lost: standard error was not read"
        record = logging.makeLogRecord({"name": __name__, "msg": text, "lost": lost})
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return self.format(record).encode("utf-8", "backslashreplace") + b"\n"

    def _write(self, lines: list[bytes]) -> None:
        view = memoryview(b"".join(lines))
        try:
            while view:
                try:
                    view = view[os.write(self._fd, view) :]
                except BlockingIOError:  # another process that shares the descriptor made it so
                    wait_writable(self._fd, 1.0)
        except OSError:  # the reader is gone, or the disk is full
            with self._guard:
                self.dropped += len(lines)
