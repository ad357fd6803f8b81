"""The options of `sidecar run`: which one wins, and what is refused."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import UNSET

from sidecar.config.overrides import Overrides
from sidecar.options import BadOption, Options, add_run_arguments, chosen
from tests.test_app import free_port

NOWHERE = Path("/nonexistent/sidecar.yaml")


def options(
    arguments: str = "", environ: dict[str, str] | None = None, default: Path = NOWHERE
) -> Options:
    parser = argparse.ArgumentParser()
    add_run_arguments(parser)
    return chosen(parser.parse_args(arguments.split()), environ or {}, default)


def test_nothing_is_said() -> None:
    assert options() == Options((), "nothing was named", Overrides(), "auto")


SAID = [
    ("listen", "0.0.0.0:1", "127.0.0.1:2"),
    ("admin", "127.0.0.1:1", "[::1]:2"),
    ("health", "0.0.0.0:1", "127.0.0.1:2"),
    ("log_level", "debug", "error"),
    ("log_format", "json", "text"),
]


@pytest.mark.parametrize(("name", "one", "other"), SAID)
def test_the_command_line_wins_over_the_environment(name: str, one: str, other: str) -> None:
    environ = {f"SIDECAR_{name.upper()}": one}
    assert getattr(options("", environ).overrides, name) == one
    option = f"--{name.replace('_', '-')} {other}"
    assert getattr(options(option, environ).overrides, name) == other
    assert getattr(options("", dict.fromkeys(environ, "")).overrides, name) in (None, UNSET)


def test_sources(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    assert options("", {}, file)[:2] == ((), "nothing was named")
    file.touch()
    assert options("", {}, file)[:2] == ((str(file),), "the usual place")
    environ = {"SIDECAR_CONFIG": "a.yaml\n etcd://h1,h2/key "}
    assert options("", environ, file)[:2] == (("a.yaml", "etcd://h1,h2/key"), "SIDECAR_CONFIG")
    assert options("-c b -c c", environ, file)[:2] == (("b", "c"), "--config")


def test_a_file_that_can_not_be_looked_at_is_not_taken_for_none(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="File name too long"):
        options("", {}, tmp_path / ("x" * 300) / "sidecar.yaml")


@pytest.mark.parametrize("name", ["admin", "health"])
def test_off(name: str) -> None:
    assert getattr(options(f"--{name} off").overrides, name) is None


@pytest.mark.parametrize("option", ["--health 7", "--health-port 7"])
def test_a_port_alone_is_of_all_addresses(option: str) -> None:
    assert options(option).overrides.health in ("[::]:7", "0.0.0.0:7")


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"SIDECAR_LISTEN": "8080"}, "SIDECAR_LISTEN: expected HOST:PORT, as"),
        ({"SIDECAR_LISTEN": "off"}, "SIDECAR_LISTEN: expected HOST:PORT, as"),
        ({"SIDECAR_ADMIN": "0.0.0.0:9"}, "SIDECAR_ADMIN: must be a loopback address"),
        (
            {"SIDECAR_HEALTH": "tcp://10.0.0.1:80"},
            "SIDECAR_HEALTH: expected a port, HOST:PORT or off",
        ),
        ({"SIDECAR_HEALTH": "65536"}, "SIDECAR_HEALTH: expected a port, HOST:PORT or off"),
        ({"SIDECAR_LOG_LEVEL": "loud"}, "SIDECAR_LOG_LEVEL: expected one of debug, info,"),
        ({"SIDECAR_LOG_FORMAT": "xml"}, "SIDECAR_LOG_FORMAT: expected one of auto, json, text"),
    ],
)
def test_nonsense_is_refused_by_its_name(environ: dict[str, str], message: str) -> None:
    with pytest.raises(BadOption, match=re.escape(message)):
        options("", environ)
    with pytest.raises(BadOption, match=r"^--listen: "):
        options("--listen nowhere")


# -- in a process --


class Process:
    """`sidecar run` with these arguments and variables."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self, until: str = "listening") -> list[str]:
        """The lines of its log up to one with *until*, or its end."""
        assert self.process.stderr is not None
        lines: list[str] = []
        while line := (await self.process.stderr.readline()).decode():
            lines.append(line)
            if until in line:
                break
        return lines


@asynccontextmanager
async def running(*arguments: str, **environ: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "run", *arguments),
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_container_needs_no_file(tmp_path: Path) -> None:
    listen, admin = free_port(), free_port()
    file = tmp_path / "sidecar.yaml"
    file.write_text(
        "listeners: [{address: '127.0.0.1:14001', access: {callers: {a: ['sha256:" + "0" * 64
        + "']}}}]\nupstreams: {u: {endpoints: [{url: 'http://127.0.0.1:1'}]}}\n"
        "routes: [{upstream: u}]\n"
    )  # fmt: skip
    variables = {
        "SIDECAR_CONFIG": str(file),
        "SIDECAR_LISTEN": f"127.0.0.1:{listen}",
        "SIDECAR_ADMIN": f"127.0.0.1:{admin}",
        "SIDECAR_LOGLEVEL": "debug",
        "SIDECAR_LOG_FORMAT": "json",
    }
    async with running(**variables) as process:
        said = [json.loads(line) for line in await process.says("SIDECAR_LOGLEVEL")]
        (told,) = [each for each in said if each["message"] == "configuration"]
        assert (told["source"], told["chosen_by"]) == (str(file), "SIDECAR_CONFIG")
        assert said[-1]["message"] == (
            "the environment variable SIDECAR_LOGLEVEL means nothing here; "
            "did you mean SIDECAR_LOG_LEVEL?"
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", listen)
        writer.write(b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b" 401 " in await reader.readline()  # it moved, and who may call is as before
        writer.close()


async def test_variables_of_the_configuration_are_not_misspelt(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text(
        "listeners: [{address: '127.0.0.1:0'}]\nadmin: {address: null}\nroutes: [{upstream: u}]\n"
        "upstreams: {u: {endpoints: [{url: '${env:SIDECAR_MODEL_SERVER}'}]}}\n"
    )
    other = {"SIDECAR_MODEL_SERVER": "http://127.0.0.1:1", "SIDECAR_ZZZ": ""}
    async with running("-c", str(file), **other) as process:
        lines = await process.says("SIDECAR_ZZZ")
        assert "these are known: SIDECAR_CONFIG, SIDECAR_LISTEN" in lines[-1]
        assert not [line for line in lines if "SIDECAR_MODEL_SERVER" in line]


async def test_a_bad_variable_is_wrong_usage() -> None:
    async with running(SIDECAR_LISTEN="8080") as process:
        assert await process.says() == [
            "sidecar run: SIDECAR_LISTEN: expected HOST:PORT, as 127.0.0.1:14001 or [::1]:14001\n"
        ]
        assert await process.process.wait() == 2
