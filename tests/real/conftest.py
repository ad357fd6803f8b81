"""What the tests run against: a real LLM server, a simulated fleet, a scripted upstream.

Each can be reached through the sidecar or, with REAL_DIRECT=1, without it: the control group.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import report
import scripted
import sidecar_config
import tiny_model
from peers import Play, Scene, Sidecar, Ways
from process import ROOT, free_port, serving

DIRECT = os.environ.get("REAL_DIRECT", "") not in ("", "0")
SIDECAR = ROOT / ".venv" / "bin" / "sidecar"


@pytest.fixture(scope="session")
def scripted_server() -> Iterator[scripted.Server]:
    with scripted.Server() as server:
        yield server
        server.shutdown()


@pytest.fixture(scope="session")
def ways(scripted_server: scripted.Server) -> Iterator[Ways]:
    ports = {name: free_port() for name in ("llama", "simulated", "websocket")}
    ports["scripted"] = scripted_server.port
    if DIRECT:
        yield Ways(ports, None)
        return
    with tempfile.TemporaryDirectory(prefix="sidecar-") as folder:
        config, sidecar = (
            Path(folder, "config.yaml"),
            Sidecar(free_port(), Path(folder, "socket"), free_port(), Path(folder, "calls.log")),
        )
        sidecar_config.write(config, sidecar, upstreams=ports, dead=free_port())
        with serving("sidecar", [str(SIDECAR), "run", "-c", str(config)], sidecar.port):
            yield Ways(ports, sidecar)


@pytest.fixture
def sidecar(ways: Ways) -> Sidecar:
    """The sidecar, for tests that have nothing to say about a direct run."""
    if ways.sidecar is None:
        pytest.skip("REAL_DIRECT: no sidecar in this run")
    return ways.sidecar


@pytest.fixture(scope="session")
def llama_log(ways: Ways, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The log of a running LLM server: llama.cpp, with a tiny model called `tiny`."""
    model = tmp_path_factory.mktemp("model") / "tiny.gguf"
    tiny_model.write(model)
    port = ways.ports["llama"]
    # Unless told not to, it breaks a stream off when another request arrives.
    options = {
        "model": model, "model_alias": "tiny", "n_ctx": tiny_model.CONTEXT, "n_threads": 1,
        "embedding": True, "interrupt_requests": False, "host": "127.0.0.1", "port": port,
    }  # fmt: skip
    arguments = [text for key, value in options.items() for text in (f"--{key}", str(value))]
    with serving("llama", [sys.executable, "-m", "llama_cpp.server", *arguments], port) as log:
        yield log


@pytest.fixture
def llama(ways: Ways, llama_log: Path) -> str:
    """Base URL of the LLM server's OpenAI API."""
    return ways.url("llama", "/v1")


@pytest.fixture(scope="session")
def simulator(ways: Ways) -> Iterator[None]:
    port = ways.ports["simulated"]
    command = [str(SIDECAR), "simulate", "--endpoints", "1", "--port", str(port)]
    with serving("simulate", command, port):
        yield


@pytest.fixture
def simulated(ways: Ways, simulator: None) -> str:
    """URL of a simulated LLM server; the Anthropic API is below it, OpenAI's below its `/v1`."""
    return ways.url("simulated")


@pytest.fixture
def play(ways: Ways, scripted_server: scripted.Server) -> Iterator[Play]:
    """Call it with a script, and at wish a route, to have an upstream that behaves so.

    An *early* script runs before the request's body has been read.
    """
    scenes: list[scripted.Scene] = []

    def start(
        script: scripted.Script, route: str = "openai-scripted", early: bool = False
    ) -> Scene:
        scene = scripted_server.play(script, early)
        scenes.append(scene)
        return Scene(ways.url(route, scene.path), ways.direct(route, scene.path), scene)

    yield start
    faults = [fault for scene in scenes for fault in scene.faults]
    if faults:
        raise ExceptionGroup("the scripted upstream failed", faults)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    report.show(terminalreporter.write_line, ROOT / ".build" / "real-report.json")
