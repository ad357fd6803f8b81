"""Completion as shells do it: real ones, where they are installed. bash always is."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from sidecar.cli import completion, main, whole_parser
from sidecar.usage.tree import Command, tree

ROOT: Command = tree(whole_parser())
WRITTEN = [
    ("sidecar ru", {"run"}),
    ("sidecar run --li", {"--listen"}),
    ("sidecar run --log-level ", {"debug", "info", "warning", "error"}),
    ("sidecar ca i", {"init"}),
    ("sidecar redirect install --exclude-p", {"--exclude-ports"}),
    ("sidecar completion z", {"zsh"}),
    ("sidecar check sidecar.", {"sidecar.yaml"}),
    ("sidecar run -c sidecar.", {"sidecar.yaml"}),
    ("sidecar run --listen ", set()),
]


def script(shell: str, folder: Path, name: str = "") -> Path:
    file = folder / (name or f"script.{shell}")
    file.write_text(completion(shell))
    (folder / "sidecar.yaml").touch()
    return file


def said(folder: Path, *command: str) -> list[str]:
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True, text=True)
    return done.stdout.splitlines()


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    assert capsys.readouterr().out == completion("bash")


def test_every_command_and_option_is_known() -> None:
    for shell in ("bash", "zsh", "fish"):
        text = completion(shell)
        for command in ROOT.walk():
            for flag in command.flags:
                assert (f"-l {flag[2:]}" if shell == "fish" else flag) in text, (shell, flag)
            assert all(each.path[-1] in text for each in command.commands)


def completed_by_bash(file: Path, words: list[str]) -> set[str]:
    line = f"COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}"
    text = f'source {file}; {line}; _sidecar; printf "%s\\n" "${{COMPREPLY[@]}}"'
    return set(said(file.parent, "bash", "--norc", "-c", text)) - {""}


@pytest.mark.parametrize(("line", "expected"), WRITTEN)
def test_bash(line: str, expected: set[str], tmp_path: Path) -> None:
    assert completed_by_bash(script("bash", tmp_path), line.split(" ")) == expected


def test_bash_takes_an_equals_sign_for_a_word(tmp_path: Path) -> None:
    file = script("bash", tmp_path)
    for words in (["--log-level", "=", "d"], ["--log-level", "=", "de"]):
        assert completed_by_bash(file, ["sidecar", "run", *words]) == {"debug"}
    assert "error" in completed_by_bash(file, ["sidecar", "run", "--log-level", "="])


def test_bash_completes_the_program_behind_two_dashes(tmp_path: Path) -> None:
    words = ["sidecar", "exec", "--", "sh"]
    assert "sh" in completed_by_bash(script("bash", tmp_path), words)


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(("line", "expected"), WRITTEN)
def test_fish(line: str, expected: set[str], tmp_path: Path) -> None:
    file = script("fish", tmp_path)
    asked = f"source {file}; complete -C {shlex.quote(line)}"
    found = {each.split("\t")[0] for each in said(tmp_path, "fish", "--no-config", "-c", asked)}
    assert found == expected


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
@pytest.mark.parametrize(
    ("line", "expected"), [(line, *found) for line, found in WRITTEN if len(found) == 1]
)
def test_zsh(line: str, expected: str, tmp_path: Path) -> None:
    """By its own line editor: Tab puts in what there is only one of."""
    functions = tmp_path / "functions"
    functions.mkdir()
    script("zsh", functions, "_sidecar")
    (tmp_path / "sidecar.yaml").touch()
    tells = "sidecar() { print -r -- told:${(j:,:)@}; }"
    start = f"fpath=({functions} $fpath); autoload -U compinit; compinit -u -D; {tells}; "
    terminal = Terminal(["zsh", "-f", "-i"], tmp_path)
    try:
        terminal.types(start + "echo rea''dy\n")
        terminal.shows("ready")
        terminal.types(f"{line}\t\n")
        terminal.shows(f"told:{','.join([*line.split(' ')[1:-1], expected])}")
    finally:
        terminal.closes()


class Terminal:
    """A program that believes that somebody types."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.master, theirs = pty.openpty()
        environ = {**os.environ, "TERM": "dumb", "COLUMNS": "200"}
        self.process = subprocess.Popen(
            command, cwd=folder, env=environ, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)

    def types(self, text: str) -> None:
        os.write(self.master, text.encode())

    def shows(self, text: str) -> None:
        """Wait until *text* is there, whatever stands before and behind it."""
        seen, end = "", time.monotonic() + 20
        while text not in seen:
            assert select.select([self.master], [], [], end - time.monotonic())[0], seen
            seen += os.read(self.master, 4096).decode(errors="replace")

    def closes(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
