from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import resource
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from sidecar.observe.access_log import (
    MAX_QUEUED_BYTES,
    SLICE,
    AccessLog,
    wait_writable,
)
from sidecar.observe.lines import Line
from sidecar.observe.record import CallRecord


class Drops:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, lost: int) -> None:
        self.count += lost


def record(number: int = 0, **fields: object) -> CallRecord:
    return CallRecord(1732388000.123, f"r{number}", **fields)  # type: ignore[arg-type]


def ids(text: str) -> list[str]:
    return [json.loads(row)["request_id"] for row in text.splitlines()]


@pytest.fixture
def pipe() -> Iterator[tuple[int, str]]:
    """A reading end, and a path that opens the writing end; it holds one page."""
    reader, writer = os.pipe()
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    yield reader, f"/proc/self/fd/{writer}"
    os.close(reader)
    os.close(writer)


def test_what_waits_is_bounded_in_bytes(pipe: tuple[int, str]) -> None:
    reader, path = pipe
    drops = Drops()
    log = AccessLog(path, 1_000_000, drops)
    long = "x" * 2**16
    for number in range(2 * MAX_QUEUED_BYTES // len(long)):
        log.append(record(number, path=long))
    assert drops.count >= MAX_QUEUED_BYTES // len(long) - 1
    assert log._queued - log._written <= MAX_QUEUED_BYTES
    os.set_blocking(reader, False)
    draining = Thread(target=drain, args=(reader, log))
    draining.start()
    log.close(timeout=30.0)
    draining.join()
    assert log._queued == log._written


def drain(reader: int, log: AccessLog) -> None:
    while log._thread.is_alive():
        with contextlib.suppress(BlockingIOError):
            os.read(reader, 2**20)


def test_lines_are_written_in_order_and_all_of_them_at_close(tmp_path: Path) -> None:
    path, drops = tmp_path / "access.log", Drops()
    log = AccessLog(str(path), 10_000, drops)
    for number in range(10 * SLICE + 1):
        log.append(record(number))
    log.close()
    assert ids(path.read_text()) == [f"r{number}" for number in range(10 * SLICE + 1)]
    assert drops.count == 0


def test_a_line_is_written_without_close(pipe: tuple[int, str]) -> None:
    reader, path = pipe
    log = AccessLog(path, 10, Drops())
    for number in range(3):  # each after the writer has gone back to sleep, or is about to
        log.append(record(number))
        assert ids(os.read(reader, 4096).decode()) == [f"r{number}"]
    log.close()


def test_a_full_disk_queue_drops_and_counts_and_never_blocks(pipe: tuple[int, str]) -> None:
    reader, path = pipe
    drops = Drops()
    log = AccessLog(path, 100, drops)
    for number in range(10_000):
        log.append(record(number, path="/" + "x" * 500))
    # 100 wait and 64 may be in the writer's hands; had append waited for the pipe, we would hang.
    assert 10_000 - 100 - 2 * SLICE <= drops.count <= 10_000 - 100
    log.close(timeout=0.01)  # the writer is stuck, we are not
    written = b""
    while written.count(b"\n") < 10_000 - drops.count:
        written += os.read(reader, 65536)
    log.close()
    assert len(ids(written.decode())) == 10_000 - drops.count


def test_a_pipe_that_does_not_block_is_waited_for(pipe: tuple[int, str]) -> None:
    reader, path = pipe
    log = AccessLog(path, 1000, Drops())
    os.set_blocking(log._fd, False)
    for number in range(200):
        log.append(record(number, path="/" + "x" * 500))
    written = b""
    while written.count(b"\n") < 200:
        written += os.read(reader, 65536)
    log.close()
    assert ids(written.decode()) == [f"r{number}" for number in range(200)]


def test_a_broken_pipe_is_counted_and_survived(
    pipe: tuple[int, str], caplog: pytest.LogCaptureFixture
) -> None:
    drops = Drops()
    reader, writer = os.pipe()
    log = AccessLog(f"/proc/self/fd/{writer}", 1000, drops)
    os.close(reader)
    for number in range(3 * SLICE):
        log.append(record(number))
    log.close()
    os.close(writer)
    assert drops.count == 3 * SLICE
    assert len(caplog.records) == 1  # said once, not once a batch


def test_a_full_disk_loses_lines_and_recovers_on_a_line_of_its_own(tmp_path: Path) -> None:
    drops, path = Drops(), tmp_path / "access.log"
    full = AccessLog("/dev/full", 10, drops)
    full._write([record(1), record(2)])
    assert drops.count == 2
    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), full._fd)
    full._write([record(3)])
    full._write([record(4)])
    full.close()
    assert ids(path.read_text().lstrip("\n")) == ["r3", "r4"]


def test_a_text_that_is_no_unicode_loses_its_batch_only(tmp_path: Path) -> None:
    drops, path = Drops(), tmp_path / "access.log"
    log = AccessLog(str(path), 10, drops)
    log._write([record(1, path="\ud800")])
    log._write([record(2)])
    log.close()
    assert drops.count == 1
    assert ids(path.read_text().lstrip("\n")) == ["r2"]


def test_reopen_follows_a_rotation(tmp_path: Path) -> None:
    path, rotated = tmp_path / "access.log", tmp_path / "access.log.1"
    log = AccessLog(str(path), 10, Drops())
    path.rename(rotated)
    log.reopen()
    log.append(record(1))
    log.close()
    assert rotated.read_text() == ""
    assert ids(path.read_text()) == ["r1"]


def test_a_failed_reopen_keeps_the_old_file(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    path = folder / "access.log"
    log = AccessLog(str(path), 10, Drops())
    folder.rename(tmp_path / "moved")
    log.reopen()
    log.append(record(1))
    log.close()
    assert ids((tmp_path / "moved" / "access.log").read_text()) == ["r1"]


def test_lines_depend_on_whether_a_terminal_is_written_to(tmp_path: Path) -> None:
    def form(terminal: bool) -> Line:
        return lambda record: f"{terminal} {record.request_id}\n".encode()

    ours, theirs = pty.openpty()
    file = tmp_path / "access.log"
    for path in (str(file), f"/proc/self/fd/{theirs}"):
        log = AccessLog(path, 10, Drops(), form)
        log.append(record(1))
        log.close()
    assert file.read_text() == "False r1\n"
    assert os.read(ours, 100) == b"True r1\r\n"
    os.close(ours)
    os.close(theirs)


def test_standard_output_is_written_and_left_open(capfd: pytest.CaptureFixture[str]) -> None:
    log = AccessLog("-", 10, Drops())
    log.append(record(1))
    log.close()
    os.write(1, b"still open\n")
    out = capfd.readouterr().out
    assert ids(out.removesuffix("still open\n")) == ["r1"]


def test_a_descriptor_of_any_number_is_waited_for() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2000:
        pytest.skip("too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    reader, writer = os.pipe()
    high = fcntl.fcntl(writer, fcntl.F_DUPFD, 1500)  # select(2) would refuse it
    wait_writable(high, 10.0)
    for fd in (reader, writer, high):
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_pipe_that_nobody_reads_is_an_error_at_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OSError, match="No such device"):
        AccessLog(str(path), 10, Drops())
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log = AccessLog(str(path), 10, Drops())
    log.append(record())
    log.close()
    assert ids(os.read(reader, 4096).decode()) == ["r0"]
    os.close(reader)


def test_a_file_that_cannot_be_opened_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AccessLog(str(tmp_path / "missing" / "access.log"), 10, Drops())
