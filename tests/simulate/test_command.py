"""The command as a process: what it prints, and how it ends."""

import argparse
import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sidecar.simulate.command import add_arguments

PROGRAM = """
import argparse, sys
from sidecar.simulate.command import add_arguments, run
parser = argparse.ArgumentParser("sidecar simulate")
add_arguments(parser)
assert "aiohttp" not in sys.modules
sys.exit(run(parser.parse_args()))
"""


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "error", "-c", PROGRAM, "--port", "0", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def chat(url: str) -> str:
    body = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}'
    with urllib.request.urlopen(f"{url}/v1/chat/completions", body) as reply:
        text: str = json.load(reply)["choices"][0]["message"]["content"]
        return text


def test_serves_and_ends_with_a_table() -> None:
    with running("--endpoints", "2", "--behaviour", "tokens=8") as process:
        name, url, behaviour = line(process).split()
        assert (name, behaviour) == ("sim-0", "tokens=8")
        assert line(process).startswith("sim-1  http://127.0.0.1:")
        assert chat(url) == "You said: hi "
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    _, head, first, second = output.splitlines()
    assert head.split() == [
        "requests", "completed", "cancelled", "rejected", "tokens", "failures",
    ]  # fmt: skip
    assert first.split() == ["sim-0", "1", "1", "0", "0", "3", "none"]
    assert second.split() == ["sim-1", "0", "0", "0", "0", "0", "none"]


def test_json_and_a_behaviour_each() -> None:
    with running("--json", "--behaviour", "tokens=1", "--behaviour", "tokens=2") as process:
        started = [json.loads(line(process)) for _ in range(2)]
        assert [one["behaviour"] for one in started] == ["tokens=1", "tokens=2"]
        chat(started[1]["url"])
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    counted = [json.loads(text)["counters"]["requests"] for text in output.splitlines()]
    assert counted == [0, 1]


def test_a_taken_port_is_told() -> None:
    with running("--endpoints", "1", "--json") as first:
        port = json.loads(line(first))["url"].rpartition(":")[2]
        with running("--endpoints", "1", "--port", port) as second:
            output, errors = second.communicate()
    assert (second.returncode, output) == (1, "")
    assert errors.startswith("sidecar simulate: can't listen: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--behaviour", "latencey=1s"], "did you mean latency?"),
        (["--endpoints", "0"], "expected a whole number between 1 and 1000"),
        (["--port", "99999"], "expected a port between 0 and 65535"),
    ],
)
def test_bad_arguments_are_explained(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(arguments)
    assert message in capsys.readouterr().err


def test_help_shows_the_settings_and_examples() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    text = parser.format_help()
    assert "  reset_midway " in text
    assert "error=500:5%," in text
