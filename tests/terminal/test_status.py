"""`sidecar status`: its picture, its exit codes, and a sidecar that runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.calls.style import ASCII, UNICODE, Style, width
from sidecar.cli import main
from sidecar.launch.running import _free_ports, started
from sidecar.terminal.status import status
from sidecar.terminal.told import number, share, span
from tests.control.plane import Plane
from tests.terminal import golden, scenes

PLAIN = Style(False, UNICODE)


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_the_picture(columns: int) -> None:
    text = status(scenes.status(), columns, PLAIN)
    golden.check(f"status-{columns}", text)
    assert max(map(width, text.splitlines())) <= columns


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"ready": False, "reason": "draining", "draining": True}, "not ready: draining"),
        ({"blocked_s": 9}, "stands still for 9 s  sidecar 0.1.0, up for 3 h 12 min"),
        ({"config_error": "a.yaml:1: bad\na.yaml:2: bad"}, "refused   a.yaml:1: bad"),
        ({"config_error": "x\n" * 9}, "          and 4 more"),
        ({"config_warnings": ["a.yaml:3: x: has no effect"]}, "doubtful  a.yaml:3: x: has no"),
        ({"config_awaited": ["a.yaml:4: k: cannot read"]}, "awaited   a.yaml:4: k: cannot read"),
        ({"loaded_at": 0, "hash": ""}, "config    , loaded never ago"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], line: str) -> None:
    told = scenes.status() | {"state": scenes.state(**changes)}
    assert line in status(told, 120, PLAIN)


def test_colours_and_signs_only_where_they_are_wanted() -> None:
    assert "\x1b[31m" in status(scenes.status(), 80, Style(True, UNICODE))
    assert status(scenes.status(), 80, Style(False, ASCII)).isascii()


def test_many_routes_and_endpoints_fit_a_screen_and_those_with_problems_are_shown() -> None:
    told = scenes.status()
    told["routes"] = [scenes.route(n, f"r{n}", n, 0) for n in range(200)]
    told["routes"][3]["outcomes"] = {"failed": 1}
    told["endpoints"] = [scenes.endpoint(n, f"http://e{n}") for n in range(1000)]
    told["endpoints"][999]["state"] = "open"
    lines = status(told, 80, PLAIN).splitlines()
    assert len(lines) < 110
    assert "and 160 more (--json has all)" in lines
    assert "and 960 more (--json has all)" in lines
    assert any(line.startswith("r3 ") for line in lines)
    assert any("http://e999" in line for line in lines)


@given(st.integers(20, 200), st.text(), st.text())
def test_no_text_from_outside_breaks_the_picture(columns: int, name: str, reason: str) -> None:
    told = scenes.status()
    told["routes"][0]["name"] = name
    told["endpoints"][1]["reason"] = reason
    text = status(told, columns, PLAIN)
    assert len(text.splitlines()) == len(status(scenes.status(), columns, PLAIN).splitlines())
    assert "\x1b" not in text


def test_exit_codes(plane: Plane, admin: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--admin", admin]) == 0
    assert json.loads(capsys.readouterr().out)["state"]["ready"]
    plane.is_ready = (False, "starting")
    assert main(["status", "--admin", admin, "--no-json"]) == 1
    assert "not ready: starting" in capsys.readouterr().out
    (free,) = _free_ports(1)
    assert main(["status", "--admin", f"127.0.0.1:{free}"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"sidecar status: no sidecar answers at 127.0.0.1:{free} (")
    assert "`sidecar run`" in said.err
    assert "kubectl exec" in said.err


def test_a_sidecar_that_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with started(tmp_path, None) as sidecar:
        assert main(["status", "--admin", sidecar.admin]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["state"]["hash"]
        assert told["routes"]
        assert main(["status", "--admin", sidecar.admin, "--no-json"]) == 0
        text = capsys.readouterr().out
        assert text.startswith(f"ready     sidecar {told['state']['version']}, up for ")
        assert re.search(r"https://api\.openai\.com +in use", text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"), (0.9, "0 s"), (59, "59 s"), (60, "1 min"), (61, "1 min 1 s"),
        (3600, "1 h"), (11_530, "3 h 12 min"), (86_400 * 3 + 59, "3 d"), (90_061, "1 d 1 h"),
    ],
)  # fmt: skip
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (0.25, "0.25"), (0.256, "0.26"), (3, "3"), (3.21, "3.2"), (12.34, "12.3"),
        (123.4, "123"), (9_999, "9,999"), (85_200, "85k"), (12_300_000, "12M"),
    ],
)  # fmt: skip
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 0, ""), (1, 1, "100 %"), (99_999, 100_000, "99.9 %"), (1, 3, "33.3 %"), (0, 3, "0.0 %")],
)
def test_shares_are_never_rounded_up_to_all(part: int, whole: int, text: str) -> None:
    assert share(part, whole) == text
