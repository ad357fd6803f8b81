"""`sidecar calls`, beside a sidecar that runs, and beside none."""

from __future__ import annotations

import http.client
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.cli import main
from sidecar.control.admin import AdminServer
from sidecar.launch.running import _free_ports, started
from sidecar.observe.record import CallRecord, Try
from tests.control.plane import Plane
from tests.control.test_admin import ANY


@pytest.fixture
def admin() -> Iterator[str]:
    plane = Plane()
    for number, status in enumerate((200, 503)):
        tries = (Try("http://a", "first", 0.0, sent_ms=1.0, ended_ms=2.0, status=status),)
        plane.calls.append(CallRecord(
                1e9, f"call/{number}", trace_id="t", model="m", status=status, duration_ms=50.0,
                path="/v1/x", method="GET", route="r", tries=tries, layers=("attempt",),
            )
        )  # fmt: skip
    server = AdminServer(plane, ANY, None)
    server.start()
    yield f"127.0.0.1:{server.port('admin')}"
    server.stop()


def calls(admin: str, *arguments: str) -> int:
    form = [] if {"--json", "--mermaid"} & set(arguments) else ["--no-json"]
    return main(["calls", "--admin", admin, *form, *arguments])


def test_a_table_of_the_latest(admin: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert calls(admin) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["TIME", "STATUS", "TOOK", "MODEL", "PATH", "ID"]
    assert [row.split()[-1] for row in rows] == ["call/1", "call/0"]


@pytest.mark.parametrize(
    ("filters", "shown"),
    [
        (["--errors"], 1),
        (["--status", "2xx"], 1),
        (["--status", "503"], 1),
        (["--route", "r", "--model", "m"], 2),
        (["--model", "other"], 0),
        (["--min", "1s"], 0),
        (["--min", "50ms"], 2),
        (["-n", "1"], 1),
    ],
)
def test_filters(
    admin: str, filters: list[str], shown: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calls(admin, "--json", *filters) == 0
    assert len(json.loads(capsys.readouterr().out)) == shown


def test_what_is_no_terminal_gets_json(admin: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calls", "--admin", admin]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_a_variable_names_the_sidecar(
    admin: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIDECAR_ADMIN", admin)
    assert main(["calls", "call/1"]) == 0
    assert json.loads(capsys.readouterr().out)["request_id"] == "call/1"


def test_one_call_in_three_forms(admin: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert calls(admin, "call/1") == 0
    text = capsys.readouterr().out
    assert text.startswith("GET /v1/x  503, 50 ms\n")
    assert "1 first" in text
    assert calls(admin, "--json", "call/1") == 0
    assert json.loads(capsys.readouterr().out)["tries"][0]["endpoint"] == "http://a"
    assert calls(admin, "--mermaid", "call/1") == 0
    assert capsys.readouterr().out.startswith("sequenceDiagram\n")


def test_what_can_not_be_shown_is_said(admin: str, capsys: pytest.CaptureFixture[str]) -> None:
    (free,) = _free_ports(1)
    for where, arguments, message in (
        (admin, ["nothing"], f"{admin} says: no call with this id is kept"),
        (admin, ["--status", "9xx"], f"{admin} says: ?status= must be a number like 503"),
        (f"127.0.0.1:{free}", [], f"no sidecar answers at 127.0.0.1:{free} (connection refused). "),
        ("nonsense:port", [], "no sidecar answers at nonsense:port ("),
    ):
        assert calls(where, *arguments) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith(f"sidecar calls: {message}")
    assert calls(admin, "--mermaid") == 2


def on_terminal(columns: int, *arguments: str, **environ: str) -> str:
    """What `sidecar` prints on a terminal that is so wide."""
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-m", "sidecar", *arguments],
            stdout=theirs,
            env={**os.environ, "COLUMNS": str(columns), "TERM": "xterm", **environ},
            check=True,
            timeout=60,
        )
        return os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_terminal_gets_colours_unless_it_wants_none_and_no_line_too_long(admin: str) -> None:
    command = ["calls", "--admin", admin]
    assert "\x1b[31m" in on_terminal(120, *command, NO_COLOR="")
    assert "\x1b" not in on_terminal(120, *command, TERM="dumb", NO_COLOR="")
    plain = on_terminal(40, *command, NO_COLOR="1")
    assert "\x1b" not in plain
    assert max(map(len, plain.splitlines())) <= 40


def test_calls_of_a_sidecar_that_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with started(tmp_path, None) as sidecar:
        host, _, port = sidecar.addresses["reverse"].rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        connection.request("GET", "/nowhere", headers={"x-request-id": "asked-1"})
        assert connection.getresponse().status == 404
        connection.close()
        # The caller has its reply a moment before the call is kept.
        ends = time.monotonic() + 30
        while calls(sidecar.admin, "asked") != 0:
            assert time.monotonic() < ends
            capsys.readouterr()
            time.sleep(0.05)
        text = capsys.readouterr().out
        assert text.startswith("GET /nowhere  404 no_route, ")
        assert "error: " in text


def test_a_duration_without_a_unit_is_told_how_to_be_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["calls", "--min", "2"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.endswith("argument --min: expected a duration like 250ms, 2s, 5m or 1h\n")
