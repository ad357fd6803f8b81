"""The transcripts of docs/terminal.md are what the commands print."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.calls.style import UNICODE, Style
from sidecar.calls.table import Following
from sidecar.cli import main
from sidecar.terminal.status import status
from sidecar.terminal.top import Looks, frame
from tests.calls.test_table import FULL
from tests.terminal import scenes
from tests.terminal.test_top import board

ROOT = Path(__file__).parents[2]
PLAIN = Style(False, UNICODE)


def fenced(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def transcript(command: str) -> tuple[str, str]:
    """The command that begins so, and what it is shown to print."""
    (shown,) = [each for each in fenced("docs/terminal.md", "text") if each.startswith(command)]
    first, _, printed = shown.partition("\n")
    return first.removeprefix("$ sidecar "), printed


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("$ sidecar status", lambda: status(scenes.status(), 110, PLAIN)),
        ("$ sidecar top", lambda: frame(board(), Looks(), 110, PLAIN).rstrip()),
        ("$ sidecar tap", lambda: "\n".join(map(Following(110, PLAIN).line, FULL))),
    ],
)
def test_pictures(command: str, printed: Callable[[], str]) -> None:
    text = printed() + "\n"
    if os.environ.get("WRITE"):
        page = ROOT / "docs/terminal.md"
        _, before = transcript(command)
        old = page.read_text(encoding="utf-8")
        page.write_text(old.replace(before, text, 1), encoding="utf-8")
    assert transcript(command)[1] == text


def test_explain_of_the_readmes_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command, printed = transcript("$ sidecar explain -c")
    (config,) = [each for each in fenced("README.md", "yaml") if each.startswith("listeners:")]
    (tmp_path / "sidecar.yaml").write_text(config)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    arguments = shlex.split(command)
    assert main([*arguments, "--no-json"]) == 0
    assert capsys.readouterr().out == printed
