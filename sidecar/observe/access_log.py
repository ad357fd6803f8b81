"""One line a call, written by a thread of its own, so that a slow disk slows no call.

The loop appends records to a bounded queue; the writer wakes when the queue stops being empty,
lets a batch gather, and writes it. When the queue is full, or the disk is, lines are dropped and
counted. With nothing to log, nothing wakes.
"""

from __future__ import annotations

import logging
import os
import select
from collections import deque
from collections.abc import Callable
from threading import Event, Thread
from typing import Final

from sidecar.observe.lines import Line, line
from sidecar.observe.record import CallRecord, size_of

_log: Final = logging.getLogger(__name__)

GATHER: Final = 0.1
"""Seconds that a first line waits for company, at most."""
SLICE: Final = 64
"""Lines per write. Encoding them takes about 0.1 ms, the longest that a call waits for the GIL."""
_PAUSE: Final = 0.0005
MAX_QUEUED_BYTES: Final = 16 * 2**20
"""What all records that wait may take: the caller chooses how long path and user agent are."""
_STANDARD_OUTPUT: Final = 1


class AccessLog:
    """Write records to the file *path*, or to standard output when it is `-`.

    At most *max_queued* records wait, and `MAX_QUEUED_BYTES`. *on_drop* is called with the number
    of records lost, on the appending thread when the queue is full and on the writer's when writing
    fails. Raise OSError when the file cannot be opened.
    """

    __slots__ = (
        "_awake", "_fd", "_form", "_line", "_max_queued", "_on_drop", "_path", "_queue", "_queued",
        "_reopen", "_stop", "_thread", "_torn", "_work", "_written",
    )  # fmt: skip

    def __init__(
        self,
        path: str,
        max_queued: int,
        on_drop: Callable[[int], object],
        form: Callable[[bool], Line] = lambda _: line,
    ) -> None:
        """*form*: how lines are made, depending on whether they are written to a terminal."""
        self._form = form
        self._path = path
        self._max_queued = max_queued
        self._on_drop = on_drop
        self._queue: deque[CallRecord] = deque()
        self._queued = 0
        """Bytes of all records that were ever queued: only the appending thread adds to it."""
        self._written = 0
        """Bytes of those that left the queue: only the writer adds to it."""
        self._fd = _open(path)
        self._line = form(os.isatty(self._fd))
        self._torn = False
        self._awake = False
        self._reopen = False
        self._work = Event()
        self._stop = Event()
        self._thread = Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def append(self, record: CallRecord) -> None:
        """Queue *record*, or drop it when the queue is full. Never blocks."""
        queue = self._queue
        size = size_of(record)
        waiting = self._queued - self._written
        if len(queue) >= self._max_queued or waiting + size > MAX_QUEUED_BYTES:
            self._on_drop(1)
            return
        self._queued += size
        queue.append(record)
        if not self._awake:
            self._wake()

    def reopen(self) -> None:
        """Write to a new file of the same name from the next batch on (log rotation)."""
        self._reopen = True
        self._wake()

    def close(self, timeout: float = 2.0) -> None:
        """Write what is queued and end the writer; give up after *timeout* seconds."""
        self._stop.set()
        self._wake()
        self._thread.join(timeout)
        if self._thread.is_alive():
            _log.warning("access log: %d lines were not written before the exit", len(self._queue))

    def _wake(self) -> None:
        self._awake = True
        self._work.set()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            self._work.wait()
            stopping = self._stop.wait(GATHER)
            self._work.clear()
            # Cleared before the queue is read, so that a later append wakes us again.
            self._awake = False
            self._turn_over()
            self._drain()
        self._close_file()

    def _drain(self) -> None:
        queue = self._queue
        while queue:
            records = [queue.popleft() for _ in range(min(SLICE, len(queue)))]
            self._written += sum(map(size_of, records))
            self._write(records)
            if queue:
                self._stop.wait(_PAUSE)  # hand the GIL to the loop

    def _write(self, records: list[CallRecord]) -> None:
        try:
            batch = b"".join(map(self._line, records))
            # A batch that was cut short left half a line: end it, so that only that one is lost.
            self._write_all(b"\n" + batch if self._torn else batch)
            self._torn = False
        except (OSError, ValueError) as error:
            self._on_drop(len(records))
            if not self._torn:
                _log.error("access log: lines can't be written and are dropped: %s", error)
            self._torn = True

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:  # standard output may share a pipe that someone set so
                wait_writable(self._fd, GATHER)

    def _turn_over(self) -> None:
        if not self._reopen:
            return
        self._reopen = False
        try:
            new = _open(self._path)
        except OSError as error:
            _log.error(
                "access log: the file can't be reopened, the old one stays in use: %s", error
            )
            return
        self._close_file()
        self._fd = new
        self._line = self._form(os.isatty(new))

    def _close_file(self) -> None:
        if self._fd != _STANDARD_OUTPUT:
            os.close(self._fd)


def wait_writable(fd: int, seconds: float) -> None:
    """Return when *fd* takes more, or after *seconds*. select(2) knows no descriptor over 1,023."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll(seconds * 1000)


def _open(path: str) -> int:
    if path == "-":
        return _STANDARD_OUTPUT
    # Appending, so that a rotation by copy and truncate leaves no hole. And not blocking: a pipe
    # without a reader is an error then, where opening it would wait for one.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    return os.open(path, flags, 0o640)
