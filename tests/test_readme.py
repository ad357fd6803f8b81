"""What README.md shows, done: what a newcomer copies works, and prints what stands there."""

from __future__ import annotations

import argparse
import json
import re
from calendar import timegm
from pathlib import Path
from time import gmtime, strptime

import msgspec
import pytest

from sidecar import cli
from sidecar import demo as demonstration
from sidecar.config.defaults import default_text
from sidecar.config.load import Written
from sidecar.control.explain import from_file
from sidecar.control.explain.question import Question
from sidecar.launch.variables import variables
from sidecar.observe.lines import line, text_line
from sidecar.observe.record import CallRecord
from tests.test_docs import ROOT, blocks, read, rows, subcommands

README = ROOT / "README.md"
BAD = """\
listeners: [{address: 127.0.0.1:14001}]
upstreams:
  glm:
    endpoints: [{url: http://glm-0:8000}]
    dialect: openia
routes:
  - match: {model: "glm-*"}
    upstrem: glm
policies:
  default: {timeouts: {first_byte: soon}}
"""


def shown(language: str, begins: str) -> str:
    """The one block that begins so."""
    (found,) = [each for each in blocks(README, language) if each.startswith(begins)]
    return found


def logged() -> CallRecord:
    """The call whose access log line is shown."""
    fields = json.loads(shown("json", "{"))
    moment, _, milliseconds = fields.pop("time").rstrip("Z").partition(".")
    time = timegm(strptime(moment, "%Y-%m-%dT%H:%M:%S")) + int(milliseconds) / 1000
    return msgspec.convert({**fields, "time": time}, CallRecord)


def test_the_configuration_is_checked_without_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sidecar.yaml").write_text(shown("yaml", "listeners:"))
    assert cli.main(["check", "--offline", "--strict", "sidecar.yaml"]) == 0
    assert capsys.readouterr().out == "sidecar.yaml is valid, with 1 thing not checked\n"


def test_what_check_says_of_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text(BAD)
    assert cli.main(["check", "bad.yaml"]) == 1
    assert (
        shown("text", "$ sidecar check") == f"$ sidecar check bad.yaml\n{capsys.readouterr().err}"
    )


def test_the_line_of_the_access_log_is_as_the_sidecar_writes_it() -> None:
    assert line(logged()).decode() == shown("json", "{")


def test_the_line_for_people_is_of_the_same_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.observe.lines.localtime", gmtime)
    assert text_line(logged()).decode() == shown("text", "22:29:14")


def test_the_call_is_the_one_that_the_demo_suggests() -> None:
    command = shown("text", "$ curl -i ").partition("\nHTTP/")[0].removeprefix("$ curl -i ")
    assert command.replace("    ", "") in demonstration._HINTS.format(
        port=14001, admin=14010, program="sidecar"
    ).replace("    ", "")


@pytest.mark.parametrize(
    ("sdk", "path"),
    [
        ("openai", "/chat/completions"),
        ("anthropic", "/v1/messages"),
        ("openai, for Azure", "/openai/deployments/d/chat/completions"),
        ("google-genai", "/v1beta/models/m:generateContent"),
    ],
)
def test_each_sdk_s_variable_leads_to_a_provider(sdk: str, path: str) -> None:
    (told,) = [
        row[1].strip("`") for row in rows("README.md", "With your application") if row[0] == sdk
    ]
    variable, base = told.split("=http://127.0.0.1:14001")
    config = from_file.read([Written(default_text(), "built in")])
    answer = from_file.explain(Question(path=base + path), config)
    assert answer.outcome == "routed"
    if "RESOURCE" not in base:  # which `sidecar exec` can't know
        at = variables("base-url", {"reverse": "127.0.0.1:14001"}, None, {})
        assert at[variable] == f"http://127.0.0.1:14001{base}"


def options(command: str) -> set[str]:
    """Of *command*, and of what it has below it."""
    found: set[str] = set()
    parsers: list[argparse.ArgumentParser] = [cli._parser([command])]
    for parser in parsers:
        for action in parser._actions:
            found |= set(action.option_strings)
            if isinstance(action, argparse._SubParsersAction):
                below = (command,) if command in action.choices else action.choices
                parsers += [action.choices[name] for name in below]
    return found


def test_options_in_the_table_of_commands_are_there() -> None:
    told: dict[str, set[str]] = {}
    for row in rows("README.md", "Commands"):
        if row[0].startswith("`sidecar "):
            command = row[0].strip("`").split()[1]
            told[command] = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", " ".join(row)))
    assert told.keys() == subcommands()
    assert told["exec"] == {"--mode"}
    told["version"] -= {"--version"}  # of `sidecar` itself
    for command, named in told.items():
        assert named <= options(command), command


def test_files_that_commands_name_are_there() -> None:
    for command, folder, file in (
        ("docker build", ".", "Dockerfile"),
        ("helm install llm-sidecar", "charts/llm-sidecar", "Chart.yaml"),
        ("pipx install", ".", "pyproject.toml"),
    ):
        (told,) = re.findall(rf"^{command} .*$", read("README.md"), re.MULTILINE)
        assert f" {folder} " in f"{told} "
        assert (ROOT / folder / file).is_file()
