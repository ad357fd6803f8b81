"""docs/examples/compose: each service does what it says, as far as that shows without an engine."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar import environment
from sidecar.app import App
from sidecar.cli import main
from sidecar.control.sources.fixed import FixedSource
from sidecar.simulate.behaviour import Behaviour
from sidecar.simulate.fleet import Fleet
from tests.test_app import free_port

FOLDER = Path(__file__).parents[1] / "docs" / "examples" / "compose"
COMPOSE: Any = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SIDECAR: Any = COMPOSE["services"]["sidecar"]


def test_its_variables_are_known() -> None:
    assert set(SIDECAR["environment"]) <= set(environment.VARIABLES)


def test_what_it_mounts_is_there_and_used_without_being_named() -> None:
    places = dict(volume.split(":")[:2] for each in COMPOSE["services"].values()
                  for volume in each.get("volumes", []))  # fmt: skip
    assert [place for place in places if not (FOLDER / place).exists()] == []
    assert places["./sidecar"] == "/etc/llm-sidecar"


def test_its_configuration_is_good(capsys: pytest.CaptureFixture[str]) -> None:
    file = FOLDER / "sidecar" / "sidecar.yaml"
    assert main(["check", "--offline", "--strict", str(file)]) == 0
    assert "/run/secrets/openai-key" in file.read_text()
    assert "openai-key" in SIDECAR["secrets"]


def test_only_containers_of_its_network_reach_it() -> None:
    assert "ports" not in SIDECAR
    port = SIDECAR["environment"]["SIDECAR_LISTEN"].rpartition(":")[2]
    base = COMPOSE["services"]["app"]["environment"]["OPENAI_BASE_URL"]
    assert base == f"http://sidecar:{port}/v1"
    scraped = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())["scrape_configs"][0]
    target = f"sidecar:{SIDECAR['environment']['SIDECAR_HEALTH']}"
    assert scraped["static_configs"] == [{"targets": [target]}]


async def test_the_application_makes_its_call() -> None:
    fleet, port = Fleet(), free_port()
    (url,) = await fleet.start([Behaviour.parse("latency=1ms")])
    app = App(
        FixedSource(
            f"listeners: [{{address: '127.0.0.1:{port}'}}]\nadmin: {{address: null}}\n"
            f"upstreams: {{u: {{endpoints: [{{url: '{url}'}}]}}}}\nroutes: [{{upstream: u}}]\n"
            "access_log: {path: null}\n"
        )
    )
    await app.start()
    try:
        _, *command = COMPOSE["services"]["app"]["command"]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *command),
            env={**os.environ, "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1"},
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
        trace, _, answer = said.decode().partition(" ")
        assert (process.returncode, len(trace)) == (0, 32)
        assert answer.startswith("You said: Hello!")
    finally:
        app.stop()
        await app.run()
        await fleet.stop()
