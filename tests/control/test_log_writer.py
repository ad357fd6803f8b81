"""The own log, written by a thread: to pipes that are read, late or not at all."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from sidecar.control import log_writer
from sidecar.control.log_writer import LogWriter

SECONDS = 10.0


class Pipe:
    """A log into a pipe that the test reads."""

    def __init__(self, queued: int = log_writer.QUEUED) -> None:
        self.reader, self.fd = os.pipe()
        self.writer = LogWriter(self.fd, queued)
        self.writer.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        self.log = logging.Logger("test")
        self.log.addHandler(self.writer)

    def read(self, lines: int) -> list[str]:
        """So many lines, as soon as they are there."""
        data = b""
        while data.count(b"\n") < lines:
            data += os.read(self.reader, 2**16)
        return data.decode().splitlines()

    def fill(self) -> int:
        """Log until lines are lost: how many were not."""
        kept = 0
        while not self.writer.dropped:
            self.log.info("x" * 1000)
            kept += 1
            if kept % 50 == 0:
                time.sleep(0.001)  # let the pipe fill up first
        return kept - 1


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    it = Pipe()
    yield it
    os.set_blocking(it.reader, False)
    it.writer.acquire()
    os.close(it.reader)
    it.writer.release()


def until(condition: object) -> None:
    end = time.monotonic() + SECONDS
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.002)


def test_lines_come_in_order(pipe: Pipe) -> None:
    for number in range(500):
        pipe.log.info("%d", number)
    assert pipe.read(500) == [f"INFO {number}" for number in range(500)]


def test_who_logs_never_waits_and_is_told_what_was_lost() -> None:
    pipe = Pipe(queued=100_000)
    kept = pipe.fill()
    for _ in range(7):
        pipe.log.info("x" * 1000)
    assert pipe.writer.dropped == 8
    lines = pipe.read(kept + 1)
    assert lines[:-1] == ["INFO " + "x" * 1000] * kept
    assert lines[-1] == "WARNING log lines were lost: standard error was not read"
    pipe.log.info("on it goes")
    assert pipe.read(1) == ["INFO on it goes"]
    os.close(pipe.reader)


def test_what_waits_is_written_at_the_end(pipe: Pipe) -> None:
    pipe.log.info("the last words")
    pipe.writer.flush()
    os.set_blocking(pipe.reader, False)
    assert os.read(pipe.reader, 100) == b"INFO the last words\n"


def test_the_end_does_not_wait_for_a_reader_that_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_writer, "_FLUSH", 0.01)
    pipe = Pipe(queued=100_000)
    pipe.fill()
    flushing = threading.Thread(target=pipe.writer.flush)
    flushing.start()
    flushing.join(SECONDS)
    assert not flushing.is_alive()
    os.close(pipe.reader)


def test_a_reader_that_is_gone() -> None:
    pipe = Pipe()
    os.close(pipe.reader)
    pipe.log.info("to nobody")
    until(lambda: pipe.writer.dropped == 1)
    pipe.log.info("nor this")
    until(lambda: pipe.writer.dropped == 2)


def test_a_descriptor_that_does_not_block() -> None:
    pipe = Pipe(queued=2**20)
    os.set_blocking(pipe.fd, False)
    for _ in range(200):  # more than the pipe holds
        pipe.log.info("x" * 1000)
    assert len(pipe.read(200)) == 200
    assert pipe.writer.dropped == 0
    os.close(pipe.reader)


def test_a_line_that_cannot_be_formatted_is_told_of(pipe: Pipe) -> None:
    pipe.log.info("%d", "no number")
    (line,) = pipe.read(1)
    assert line.startswith("a line of test can't be formatted: TypeError(")


def test_what_is_no_unicode_is_written_all_the_same(pipe: Pipe) -> None:
    pipe.log.info("\udcff")
    assert pipe.read(1) == ["INFO \\udcff"]


CRASHES = {
    "the main thread": "raise ValueError('crash')",
    "a thread": "t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()",
    "a destructor": "class C:\n    def __del__(self): raise ValueError('crash')\nC()",
    "a warning": "warnings.warn('crash', RuntimeWarning)",
}


@pytest.mark.parametrize("crash", CRASHES.values(), ids=CRASHES)
def test_crashes_get_out(crash: str) -> None:
    program = (
        "import threading, warnings\nfrom sidecar.control import logs\n"
        "logs.setup('info'); logs.take_over()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program + crash], capture_output=True, text=True, check=False
    )
    assert done.stderr.count("\n") == 1
    assert ("crash" if "1 / 0" not in crash else "ZeroDivisionError") in done.stderr
    assert done.returncode == ("raise" in crash and "def" not in crash)


def test_a_crash_ends_though_nobody_reads_of_it() -> None:
    program = (
        "from sidecar.control import logs\nimport logging\nlogs.setup('info'); logs.take_over()\n"
        "for _ in range(300): logging.getLogger('sidecar').info('x' * 1000)\n"
        "raise ValueError"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
    assert process.wait(30) == 1
    assert process.stderr is not None
    process.stderr.close()
