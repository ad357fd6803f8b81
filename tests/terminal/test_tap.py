"""`sidecar tap`: on a terminal, into a pipe, and when either end goes."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar.calls.style import UNICODE, Style, width
from sidecar.calls.table import Following
from sidecar.cli import main
from sidecar.control.admin import AdminServer
from sidecar.launch.running import started
from sidecar.observe.calls import CallsSettings
from sidecar.observe.record import CallRecord
from tests.calls.test_table import FULL, record
from tests.control.plane import Plane
from tests.terminal import golden
from tests.terminal.console import Console


@pytest.fixture(autouse=True)
def _keeps_many(plane: Plane) -> None:
    plane.calls.configure(CallsSettings(1000, 0, 0, 2**24))


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "sidecar", "tap", *arguments]


@contextmanager
def calling(plane: Plane, *records: CallRecord) -> Iterator[None]:
    """Let calls with these records end again and again."""
    over = threading.Event()

    def end() -> None:
        while not over.wait(0.02):
            for each in records:
                plane.calls.append(each)

    thread = threading.Thread(target=end)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_the_lines(columns: int) -> None:
    following = Following(columns, Style(False, UNICODE))
    text = "\n".join(map(following.line, FULL))
    golden.check(f"tap-{columns}", text)
    assert max(map(width, text.splitlines())) <= columns


def test_columns_are_named_again() -> None:
    following = Following(80, Style(False, UNICODE))
    lines = "\n".join(following.line(FULL[0]) for _ in range(90)).splitlines()
    assert [n for n, line in enumerate(lines) if line.startswith("TIME")] == [0, 41, 82]


def test_what_is_no_terminal_gets_an_object_a_line(
    plane: Plane, admin: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = record("bad", status=503, error="connect_failed")
    with calling(plane, record("good"), bad):
        assert main(["tap", "--admin", admin, "--errors", "-n", "3"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["request_id"] for line in lines] == ["bad"] * 3


def test_people_get_lines_as_wide_as_their_terminal_is_now(plane: Plane, admin: str) -> None:
    ending = calling(plane, record(path="/" + "x" * 200, cost=1.0))
    with ending, Console("tap", "--admin", admin, columns=120) as console:
        console.prints("POST /xxx")
        console.resize(50, 30)
        shown = len(console.text)
        console.until(lambda: console.text[shown:].count("\r\n") > 20, "more lines")
        assert all(len(line) <= 50 for line in console.text.splitlines()[-3:])
        console.press("\x03")
        assert console.ended() == (0, "")


def test_a_reader_that_has_seen_enough(plane: Plane, admin: str) -> None:
    with calling(plane, record()):
        tap = subprocess.Popen(
            command("--admin", admin), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert tap.stdout is not None
        assert tap.stderr is not None
        assert tap.stdout.readline().startswith(b"{")
        tap.stdout.close()
        assert tap.wait(30) == 0
        assert tap.stderr.read() == b""
        tap.stderr.close()


def test_a_sidecar_that_stops(plane: Plane, server: AdminServer, admin: str) -> None:
    with calling(plane, record()), Console("tap", "--admin", admin, columns=120) as console:
        console.prints("POST /v1")
        server.stop()
        code, said = console.ended()
    assert code == 1
    assert "it may have stopped" in said


def test_refusals(plane: Plane, admin: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tap", "--admin", "127.0.0.1:1"]) == 2
    assert "no sidecar answers at 127.0.0.1:1" in capsys.readouterr().err
    assert main(["tap", "--admin", admin, "--status", "9xx"]) == 1
    assert "?status= must be a number like 503" in capsys.readouterr().err


def test_calls_that_were_too_many(
    plane: Plane, admin: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plane.calls.configure(CallsSettings(10, 0, 0, 2**24))
    with calling(plane, *(record(str(number)) for number in range(30))):
        assert main(["tap", "--admin", admin, "-n", "40"]) == 0
    assert "sidecar tap: some calls were too many to be told" in capsys.readouterr().err


def test_calls_of_a_sidecar_that_runs(tmp_path: Path) -> None:
    with started(tmp_path, None) as sidecar:
        tap = subprocess.Popen(
            command("--admin", sidecar.admin, "--status", "404", "-n", "1"),
            stdout=subprocess.PIPE,
        )
        host, _, port = sidecar.addresses["reverse"].rpartition(":")
        while tap.poll() is None:
            connection = http.client.HTTPConnection(host, int(port), timeout=30)
            connection.request("GET", "/nowhere", headers={"x-request-id": "asked"})
            assert connection.getresponse().status == 404
            connection.close()
            time.sleep(0.05)
        out, _ = tap.communicate()
    assert json.loads(out)["error"] == "no_route"
