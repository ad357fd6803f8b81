"""The command line: what it prints, and its exit codes."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar import __version__
from sidecar.cli import main

COMMANDS = [
    "run",
    "check",
    "import",
    "schema",
    "ready",
    "budget",
    "calls",
    "status",
    "top",
    "tap",
    "explain",
    "exec",
    "env",
    "ca",
    "redirect",
    "inject",
    "uninject",
    "webhook",
    "simulate",
    "demo",
    "completion",
    "man",
    "version",
]
GOOD = """\
listeners: [{address: 127.0.0.1:14001}]
upstreams: {u: {endpoints: [{url: http://localhost:1}]}}
routes: [{upstream: u}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sidecar.yaml"
    path.write_text(GOOD)
    return path


@pytest.mark.parametrize("arguments", ["schema", "man", "completion bash", "version"])
def test_a_reader_that_has_seen_enough_is_no_failure(arguments: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)  # as `head` does
    command = [sys.executable, "-m", "sidecar", *arguments.split()]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_each_command_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        _, about, *_ = capsys.readouterr().out.split("\n\n")
        assert re.fullmatch(r"[A-Z][^\n]*.*\.", about.rstrip(), re.DOTALL), command


def test_a_word_too_many_shows_what_the_command_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explain", "/v1/chat/completions"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("usage: sidecar explain ")
    assert said.endswith("sidecar explain: error: unrecognized arguments: /v1/chat/completions\n")


def test_ready_says_why_it_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ready", "--port", "1"]) == 1
    told = "sidecar ready: no sidecar answers at 127.0.0.1:1: Connection refused\n"
    assert capsys.readouterr().err == told


def test_check_of_a_good_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(file)]) == 0
    assert capsys.readouterr().out == f"{file} is valid\n"


def test_check_lists_every_mistake(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD.replace("routes", "rutes").replace("url", "ulr"))
    assert main(["check", str(file)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert all(line.startswith(f"{file}:") for line in lines[:-1])
    assert any('(did you mean "routes"?)' in line for line in lines)
    assert lines[-1] == f"{len(lines) - 1} mistakes in {file}"


def test_check_tells_what_a_file_hardly_means(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(
        GOOD.replace("u: {", "v: {endpoints: [{url: http://localhost:2}]}, u: {", 1).replace(
            "upstream: u}", "upstream: u, mirror: {upstream: v}, fallback: [{upstream: v}]}"
        )
    )
    assert main(["check", str(file)]) == 0
    said = capsys.readouterr()
    assert said.out == f"{file} is valid, with 2 warnings\n"
    lines = said.err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{file}:3: routes[0].") for line in lines)
    assert all(line.endswith("(warning)") for line in lines)


def test_check_that_is_strict(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--strict", str(file)]) == 0
    assert capsys.readouterr().out == f"{file} is valid\n"
    file.write_text(GOOD.replace("upstream: u", "upstream: u, match: {model: '^x'}"))
    assert main(["check", "--strict", str(file)]) == 1
    said = capsys.readouterr()
    assert said.out == f"{file} is not valid under --strict, with 1 warning\n"
    assert said.err.startswith(f"{file}:3: routes[0].match.model: ")


def test_check_where_the_secrets_are_not(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = "credentials: {header: authorization, value: 'Bearer ${file:none}'}"
    file.write_text(GOOD.replace("}]}}", "}], " + key + "}}"))
    assert main(["check", str(file)]) == 1
    capsys.readouterr()
    assert main(["check", "--offline", "--strict", str(file), "etcd://h/x"]) == 0
    said = capsys.readouterr()
    missing = f"cannot read file {file.parent}/none: No such file or directory"
    assert said.err.splitlines() == [
        f"{file}:2: upstreams.u.credentials.value: {missing} (not checked)",
        "etcd://h/x is not read offline (not checked)",
    ]
    assert said.out == f"{file}, etcd://h/x is valid, with 2 things not checked\n"


def test_check_offline_of_what_is_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--offline", "etcd://h/x"]) == 2
    assert "needs the first source to be a file" in capsys.readouterr().err


def test_check_of_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(GOOD.encode())))
    assert main(["check", "-"]) == 0
    assert capsys.readouterr().out == "standard input is valid\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"routes: []")))
    assert main(["check", "-"]) == 1
    assert capsys.readouterr().err.startswith("standard input:1: ")


def test_check_of_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "none")]) == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_check_of_a_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path)]) == 1
    assert "Is a directory" in capsys.readouterr().err


def test_run_of_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "-c", str(tmp_path / "none")]) == 1
    said = capsys.readouterr().err
    assert f"No such file or directory: {tmp_path / 'none'}" in said


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert "listeners" in json.dumps(schema)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"llm-sidecar {__version__} (Python 3.")
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == said


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: sidecar")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("statsu", "there is no command 'statsu'; did you mean `sidecar status`?"),
        ("explian", "did you mean `sidecar explain`?"),
        ("xyzzy", "there is no command 'xyzzy'; `sidecar --help` lists them"),
    ],
)
def test_an_unknown_command_names_the_nearest(
    word: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([word])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_the_help_names_each_command_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for command in [*COMMANDS, "status", "top", "tap"]:
        assert len(re.findall(rf"^  {command} +\w", text, re.MULTILINE)) == 1, command
    assert max(map(len, text.splitlines())) <= 90


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["check"], ["run", "-x"], ["run", "a", "b"]]
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: sidecar" in capsys.readouterr().err
