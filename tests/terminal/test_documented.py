"""The transcripts of docs/terminal.md are what the commands print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from sidecar.cli import main

ROOT = Path(__file__).parents[2]


def fenced(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_explain_of_the_readmes_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (shown,) = [each for each in fenced("docs/terminal.md", "text") if "explain -c" in each]
    command, _, printed = shown.partition("\n")
    (config,) = [each for each in fenced("README.md", "yaml") if each.startswith("listeners:")]
    (tmp_path / "sidecar.yaml").write_text(config)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    arguments = shlex.split(command.removeprefix("$ sidecar "))
    assert main([*arguments, "--no-json"]) == 0
    assert capsys.readouterr().out == printed
