"""`sidecar top`: its picture, keys, other sizes, and a sidecar that comes and goes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.calls.style import UNICODE, Style, width
from sidecar.cli import main
from sidecar.control.admin import AdminServer
from sidecar.launch.running import _free_ports, started
from sidecar.observe.stats import RouteStats
from sidecar.terminal.board import Board
from sidecar.terminal.screen import keys
from sidecar.terminal.top import SORTS, Looks, picture, pressed
from tests.control.plane import Plane
from tests.terminal import golden, scenes
from tests.terminal.console import CLOSED, OPENED, Console

PLAIN = Style(False, UNICODE)


def board(**tables: dict[str, Any]) -> Board:
    """One that has seen ten seconds."""
    found = Board()
    of = {**scenes.tables(), **tables}
    history = {"chat": {"0": {"calls": 3, "first": {"56": 2, "70": 1}}}}
    found.take("snapshot", {"at": scenes.AT, "tables": of, "history": history})
    chat = {"calls": 12_104, "outcomes": {"ok": 12_099, "failed": 5}, "input": 1_260_000}
    bad = {"calls": 120, "outcomes": {"ok": 90, "failed": 30}, "cost": 1.5}
    more = {"attempts": 1304, "statuses": {"200": 1299, "503": 5}}
    changed = {
        "routes": {"set": {"chat": {**chat, "retries": {"503": 9}}, "bad": bad}},
        "endpoints": {"set": {"glm\nhttp://glm-0.models.svc.cluster.local:8000": more}},
    }
    found.take("delta", {"at": scenes.AT + 10, "tables": changed, "seen": {}})
    return found


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_the_picture(columns: int) -> None:
    lines = picture(board(), Looks(), (columns, 20), PLAIN)
    golden.check(f"top-{columns}", "\n".join(lines))
    assert len(lines) == 20
    assert max(map(width, lines)) <= columns


def many() -> Board:
    known = scenes.tables()
    routes = {f"r{n}": scenes.route(n, f"r{n}", 0, 0) for n in range(200)}
    endpoints = {f"u\ne{n}": scenes.endpoint(n, f"http://e{n}") for n in range(1000)}
    return board(routes=known["routes"] | routes, endpoints=known["endpoints"] | endpoints)


@given(
    st.integers(20, 250),
    st.integers(4, 100),
    st.lists(st.sampled_from([*SORTS, "tab", "p", "up", "down", "page_down", "home", "x"])),
)
def test_it_always_fits(columns: int, lines: int, pressed_keys: list[str]) -> None:
    looks = Looks()
    for key in pressed_keys:
        looks = pressed(looks, key)
    for of in (MANY, FEW):
        drawn = picture(of, looks, (columns, lines), PLAIN, lost="gone " * 30)
        assert len(drawn) == lines
        assert max(map(width, drawn)) <= columns


def names(lines: list[str], head: str) -> list[str]:
    start = next(n for n, line in enumerate(lines) if line.startswith(head)) + 1
    shown = []
    for line in lines[start:]:
        if not line:
            break
        shown.append(line.split()[0])
    return shown


@pytest.mark.parametrize(
    ("key", "routes"),
    [
        ("c", ["chat", "bad", "embeddings"]),
        ("f", ["bad", "chat", "embeddings"]),
        ("t", ["chat", "embeddings", "bad"]),
        ("k", ["chat", "embeddings", "bad"]),
        ("m", ["bad", "chat", "embeddings"]),
        ("n", ["chat", "embeddings", "bad"]),
    ],
)
def test_sorting(key: str, routes: list[str]) -> None:
    lines = picture(FEW, pressed(Looks(sort="failures"), key), (120, 30), PLAIN)
    assert names(lines, "ROUTE") == routes


def test_views_and_scrolling() -> None:
    both = picture(MANY, Looks(), (80, 40), PLAIN)
    assert any(line.startswith("1 to 1") and line.endswith("of 203") for line in both)
    looks = pressed(Looks(), "tab")
    for _ in range(3):
        looks = pressed(looks, "page_down")
    lines = picture(MANY, looks, (80, 40), PLAIN)
    assert names(lines, "ROUTE")[0] == "r27"
    assert not any(line.startswith("UPSTREAM") for line in lines)
    for _ in range(50):
        looks = pressed(looks, "page_down")
    assert any(line.endswith(" to 203 of 203") for line in picture(MANY, looks, (80, 40), PLAIN))
    lines = picture(MANY, pressed(looks, "tab"), (80, 40), PLAIN)
    assert not any(line.startswith("ROUTE") for line in lines)
    assert pressed(pressed(looks, "tab"), "tab").view == "both"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"q", ["q"]),
        (b"\x1b[A\x1bOB\x1b[5~\x1b[6~\x1b[H", ["up", "down", "page_up", "page_down", "home"]),
        (b"\t\x04", ["tab", "q"]),
        (b"\x1b[1;5Cx", ["x"]),
        (b"\xff\xfe", []),
    ],
)
def test_keys(data: bytes, found: list[str]) -> None:
    assert keys(data) == found


@given(st.binary())
def test_no_key_is_too_strange(data: bytes) -> None:
    keys(data)


@pytest.fixture
def busy(plane: Plane) -> Plane:
    for name in ("alpha", "beta"):
        plane.stats.routes[name, "openai"] = RouteStats()
    plane.stats.routes["beta", "openai"].durations["failed"].observe(1.0)
    return plane


@pytest.mark.usefixtures("busy")
def test_on_a_terminal(admin: str, plane: Plane) -> None:
    with Console("top", "--admin", admin, columns=100, lines=20) as console:
        console.shows("alpha")
        assert console.text.startswith(OPENED)
        assert len(console.frame()) == 20
        assert max(map(len, console.frame())) <= 100
        console.press("f")
        console.shows("sorted by failures")
        console.press("\t")
        console.until(
            lambda: not any("UPSTREAM" in line for line in console.frame()), "routes alone"
        )
        console.resize(40, 10)
        console.until(lambda: len(console.frame()) == 10, "another size")
        assert max(map(len, console.frame())) <= 40
        console.press("p")
        console.resize(100, 20)
        console.shows("paused")
        plane.stats.routes["gamma", "openai"] = RouteStats()
        console.press("p")
        console.shows("gamma")
        console.press("q")
        assert console.ended() == (0, "")
        assert console.text.endswith(CLOSED)
        assert termios.tcgetattr(console._theirs)[3] == console.modes[3]


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("how", ["ctrl-c", "term", "hang-up"])
def test_each_end_leaves_the_terminal_as_it_was(admin: str, how: str) -> None:
    with Console("top", "--admin", admin) as console:
        console.shows("alpha")
        if how == "ctrl-c":
            console.press("\x03")
        elif how == "term":
            console.process.send_signal(signal.SIGTERM)
        else:
            console.press("\x04")
        assert console.ended() == (0, "")
        assert console.text.endswith(CLOSED)


@pytest.mark.usefixtures("busy")
def test_a_sidecar_that_goes_and_comes_back(plane: Plane) -> None:
    (port,) = _free_ports(1)
    where = f"127.0.0.1:{port}"
    server = AdminServer(plane, where, None)
    server.start()
    with Console("top", "--admin", where) as console:
        console.shows("alpha")
        server.stop()
        console.shows("nothing new comes, trying again")
        plane.stats.routes["delta", "openai"] = RouteStats()
        server = AdminServer(plane, where, None)
        server.start()
        try:
            console.shows("delta")
            assert not any("trying again" in line for line in console.frame())
        finally:
            server.stop()


@pytest.mark.usefixtures("busy")
def test_what_is_no_terminal_gets_an_object_a_line(
    admin: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["top", "--admin", admin, "-n", "2"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [{route["name"] for route in line["routes"]} for line in lines] == [
        {"all", "alpha", "beta"},
    ] * 2
    assert main(["top", "--admin", admin, "-n", "1", "--no-json", "--sort", "failures"]) == 0
    assert capsys.readouterr().out.startswith("ready  ")


@pytest.mark.usefixtures("busy")
def test_a_reader_that_has_seen_enough(admin: str) -> None:
    top = subprocess.Popen(
        [sys.executable, "-m", "sidecar", "top", "--admin", admin],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert top.stdout is not None
    assert top.stderr is not None
    assert top.stdout.readline().startswith(b"{")
    top.stdout.close()
    assert top.wait(30) == 0
    assert top.stderr.read() == b""
    top.stderr.close()


def test_no_sidecar(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--admin", "127.0.0.1:1"]) == 2
    assert "no sidecar answers at 127.0.0.1:1" in capsys.readouterr().err
    with Console("top", "--admin", "127.0.0.1:1") as console:
        code, said = console.ended()
    assert code == 2
    assert said.startswith("sidecar top: no sidecar answers")
    assert OPENED not in console.text


def test_a_sidecar_that_runs(tmp_path: Path) -> None:
    with (
        started(tmp_path, None) as sidecar,
        Console("top", "--admin", sidecar.admin, lines=80) as console,
    ):
        console.shows("https://api.openai.com")
        console.press("q")
        assert console.ended() == (0, "")


MANY, FEW = many(), board()
